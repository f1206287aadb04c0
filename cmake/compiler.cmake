# Flags that every target of this project is compiled with.
include(CheckCXXCompilerFlag)
include(CheckPIESupported)
check_pie_supported()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(VCSM_CCACHE ccache)
if(VCSM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${VCSM_CCACHE})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${VCSM_CCACHE})
endif()

add_library(vcsm_flags INTERFACE)
target_compile_options(vcsm_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                            $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overlapping copies inside std::string's operator+ once it optimises (its bug 105651).
    target_compile_options(vcsm_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_FLAGS MATCHES "-fsanitize=thread")
    # ThreadSanitizer does not follow fences. Ours order the CPU's accesses and VideoCore's, not those of threads.
    target_compile_options(vcsm_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-tsan>)
endif()
if(VCSM_WERROR)
    target_compile_options(vcsm_flags INTERFACE -Werror)
endif()

# Large files and 64-bit time also on 32-bit Arm, where both are choices.
target_compile_definitions(vcsm_flags INTERFACE _FILE_OFFSET_BITS=64)

# Hardening: cheap on this kind of code, and the tool runs as root on some boards.
target_compile_options(vcsm_flags INTERFACE -fstack-protector-strong)
target_compile_options(vcsm_flags INTERFACE
    $<$<AND:$<CONFIG:Release,RelWithDebInfo>,$<NOT:$<BOOL:${VCSM_SANITIZED}>>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
target_link_options(vcsm_flags INTERFACE LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)

find_package(Threads REQUIRED)
target_link_libraries(vcsm_flags INTERFACE Threads::Threads)

# ARMv6 (Raspberry Pi 0 and 1) has no 64-bit atomic instructions: GCC calls its libatomic for them.
include(CheckCXXSourceCompiles)
check_cxx_source_compiles("#include <atomic>
#include <cstdint>
std::atomic<std::uint64_t> count{0};
int main() { return static_cast<int>(count.fetch_add(1)); }" VCSM_ATOMICS_NEED_NO_LIBRARY)
if(NOT VCSM_ATOMICS_NEED_NO_LIBRARY)
    target_link_libraries(vcsm_flags INTERFACE atomic)
endif()
