# make install: headers, both libraries, the command, trained NAMMs, configs of trainings, .pc, CMake
# config, man page, completion.
install(DIRECTORY include/mneme TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(TARGETS mneme_static mneme_shared)
if(TARGET mneme)
    install(TARGETS mneme)
endif()
install(DIRECTORY share/mneme/namm share/mneme/train DESTINATION ${CMAKE_INSTALL_DATADIR}/mneme)
# libllama and ggml travel along, in a folder of their own that our RPATH names: no other program
# meets them.
foreach(name llama ggml ggml-base ggml-cpu)
    file(GLOB files ${mneme_llama_libdir}/lib${name}.so*)
    install(FILES ${files} DESTINATION ${CMAKE_INSTALL_LIBDIR}/mneme)
endforeach()
install(FILES ${PROJECT_BINARY_DIR}/man/mneme.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)
install(FILES ${PROJECT_BINARY_DIR}/completion/mneme
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions OPTIONAL)

if(TARGET mneme_spm)
    install(TARGETS mneme_spm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/mneme)
endif()
# The .pc finds its prefix from where it lies, so that an installation can be moved.
file(RELATIVE_PATH pc_to_prefix /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(cmake/mneme.pc.in mneme.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mneme.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

include(CMakePackageConfigHelpers)
configure_package_config_file(cmake/mneme-config.cmake.in ${PROJECT_BINARY_DIR}/mneme-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mneme
    PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mneme-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/mneme-config.cmake ${PROJECT_BINARY_DIR}/mneme-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mneme)
