# Run by the build: writes arrays of the bytes of page.html, page.css and the scripts of a folder
# (page.js behind the others, which it starts) as C, for src/eval/report_page.c. STYLE and SCRIPTS,
# when given: a style of another folder, and scripts that come first.
cmake_minimum_required(VERSION 3.25)
function(mneme_embed out name)
    set(hex "")
    foreach(file IN LISTS ARGN)
        file(READ ${file} bytes HEX)
        string(APPEND hex ${bytes})
    endforeach()
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
    set(${out} "static const unsigned char part_${name}[] = {\n${hex}\n};\n" PARENT_SCOPE)
endfunction()

file(GLOB scripts ${FOLDER}/*.js)
list(FILTER scripts EXCLUDE REGEX "/page\\.js$")
mneme_embed(html page_html ${FOLDER}/page.html)
if(NOT STYLE)
    set(STYLE ${FOLDER}/page.css)
endif()
mneme_embed(css page_css ${STYLE})
mneme_embed(js page_js ${SCRIPTS} ${scripts} ${FOLDER}/page.js)
file(WRITE ${OUTPUT} "/* Written by cmake/embed.cmake. */\n${html}${css}${js}")
