# What `cmake --install` lays down: a tree that works wherever it stands, because everything in it that names another
# part of it does so relative to itself. Also the target `installed`: all that is needed for it, and nothing else.
include(CMakePackageConfigHelpers)

set(cmake_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vcsm)
set(pkg_config_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH libraries_from_programs ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH VCSM_PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})

add_custom_target(installed)

# The library for C++.
install(TARGETS vcsmxx EXPORT vcsm_targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
add_dependencies(installed vcsmxx)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/vcsm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.hpp")

# The library for C.
if(TARGET libvcsm)
    install(TARGETS libvcsm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(FILES ${PROJECT_SOURCE_DIR}/include/interface/vcsm/user-vcsm.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/interface/vcsm)
    configure_file(${PROJECT_SOURCE_DIR}/libvcsm/vcsm.pc.in ${PROJECT_BINARY_DIR}/pkgconfig/vcsm.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/pkgconfig/vcsm.pc DESTINATION ${pkg_config_dir})
    add_dependencies(installed libvcsm)
endif()

# The commands and what else was built: they find the library beside them.
foreach(program IN ITEMS vcsm vcsm-sim)
    if(TARGET ${program})
        set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/${libraries_from_programs}")
        install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
        add_dependencies(installed ${program})
    endif()
endforeach()

# For users' build systems.
install(EXPORT vcsm_targets NAMESPACE vcsm:: FILE vcsm-targets.cmake DESTINATION ${cmake_package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/vcsm-config.cmake.in
    ${PROJECT_BINARY_DIR}/cmake/vcsm-config.cmake INSTALL_DESTINATION ${cmake_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/vcsm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cmake/vcsm-config.cmake ${PROJECT_BINARY_DIR}/cmake/vcsm-config-version.cmake
    DESTINATION ${cmake_package_dir})
configure_file(${CMAKE_CURRENT_LIST_DIR}/vcsmxx.pc.in ${PROJECT_BINARY_DIR}/pkgconfig/vcsmxx.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/pkgconfig/vcsmxx.pc DESTINATION ${pkg_config_dir})

# Who may open the device nodes, what the demonstration sends, and the terms.
install(FILES ${PROJECT_SOURCE_DIR}/share/udev/60-vcsm.rules DESTINATION ${CMAKE_INSTALL_DATADIR}/vcsm/udev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/share/lens-shading DESTINATION ${CMAKE_INSTALL_DATADIR}/vcsm)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
