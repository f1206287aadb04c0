# What Debian's cross compilers have in common. A toolchain file sets vcsm_triplet and vcsm_emulator and includes this.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${vcsm_triplet}-gcc)
set(CMAKE_CXX_COMPILER ${vcsm_triplet}-g++)
set(CMAKE_LIBRARY_ARCHITECTURE ${vcsm_triplet})

# Debian keeps the C and C++ libraries of another architecture under /usr/TRIPLET: libraries are looked for there alone.
set(CMAKE_FIND_ROOT_PATH /usr/${vcsm_triplet})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Runs what was built, with the C library of its own architecture.
set(CMAKE_CROSSCOMPILING_EMULATOR ${vcsm_emulator} -L /usr/${vcsm_triplet})
