# Run at every build: writes build_info.h (commit, compiler, what ggml was built for) when it
# changed, so that measurements carry what they were measured with.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR commit STREQUAL "")
    set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT "/* build_info.h: written by the build. */
#ifndef MN_BUILD_INFO_H
#define MN_BUILD_INFO_H
#define MN_BUILD_COMMIT \"@commit@\"
#define MN_BUILD_COMPILER \"@COMPILER@\"
#define MN_BUILD_TYPE \"@TYPE@\"
#define MN_BUILD_GGML_ARCH \"@GGML_ARCH@\"
#endif
")
