# 64-bit Arm: Raspberry Pi 3, 4 and 5 with a 64-bit system. Debian: g++-aarch64-linux-gnu.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(vcsm_triplet aarch64-linux-gnu)
set(vcsm_emulator qemu-aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake)
