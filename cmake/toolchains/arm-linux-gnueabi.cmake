# 32-bit Arm, ARMv6: the instructions of Raspberry Pi 0 and 1, which have no 64-bit atomic ones in this form.
# Debian: g++-arm-linux-gnueabi; its C library runs on those processors, that of g++-arm-linux-gnueabihf does not.
set(CMAKE_SYSTEM_PROCESSOR armv6l)
set(vcsm_triplet arm-linux-gnueabi)
set(vcsm_emulator qemu-arm -cpu arm1176)
set(CMAKE_C_FLAGS_INIT -march=armv6)
# -Wno-psabi: GCC 7 changed how some classes are passed; all of ours is built by one compiler.
set(CMAKE_CXX_FLAGS_INIT "-march=armv6 -Wno-psabi")
include(${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake)
