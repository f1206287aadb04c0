# 32-bit Arm, ARMv7 with floating-point registers: Raspberry Pi 2 and later with a 32-bit system.
# Debian: g++-arm-linux-gnueabihf.
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(vcsm_triplet arm-linux-gnueabihf)
set(vcsm_emulator qemu-arm)
# -Wno-psabi: GCC 7 changed how some classes are passed; all of ours is built by one compiler.
set(CMAKE_CXX_FLAGS_INIT -Wno-psabi)
include(${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake)
