# 32-bit x86: 32-bit programs at the full speed of a PC. Debian: g++-i686-linux-gnu.
set(CMAKE_SYSTEM_PROCESSOR i686)
set(vcsm_triplet i686-linux-gnu)
set(vcsm_emulator qemu-i386)
include(${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake)
# The programs find their libraries where Debian's cross packages put them, so that a PC runs them without an emulator.
string(CONCAT CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--dynamic-linker=/usr/${vcsm_triplet}/lib/ld-linux.so.2 "
                                          "-Wl,-rpath,/usr/${vcsm_triplet}/lib")
