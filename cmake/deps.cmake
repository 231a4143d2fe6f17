# Libraries. Each is found here, once, with a sentence that says what to do when it is missing.

# mneme_find(target header library package [without]): an imported target from a header and a
# library of Debian. oneDNN's own CMake config demands OpenCL and others have none, so files are
# looked for. `without` says what an optional one leaves out; others are demanded.
function(mneme_find target header library package)
    find_path(${target}_include ${header})
    find_library(${target}_library ${library})
    mark_as_advanced(${target}_include ${target}_library)
    if(NOT ${target}_include OR NOT ${target}_library)
        if(ARGN)
            message(STATUS "lib${library} not found: ${ARGN} (apt-get install ${package})")
            return()
        endif()
        message(FATAL_ERROR "${header} or lib${library} not found: "
            "apt-get install ${package} (scripts/bootstrap does it)")
    endif()
    add_library(mneme::${target} UNKNOWN IMPORTED)
    set_target_properties(mneme::${target} PROPERTIES
        IMPORTED_LOCATION "${${target}_library}"
        INTERFACE_INCLUDE_DIRECTORIES "${${target}_include}")
endfunction()

find_package(Threads REQUIRED)
mneme_find(jansson jansson.h jansson libjansson-dev)
mneme_find(xxhash xxhash.h xxhash libxxhash-dev)
mneme_find(lzma lzma.h lzma liblzma-dev)
mneme_find(zstd zstd.h zstd libzstd-dev)
mneme_find(sqlite sqlite3.h sqlite3 libsqlite3-dev)
mneme_find(lapacke lapacke.h lapacke liblapacke-dev)
mneme_find(mecab mecab.h mecab libmecab-dev "no F1 over Japanese morphemes")
mneme_find(inih ini.h inih libinih-dev "no configs of trainings")
foreach(library sentencepiece sentencepiece_train)
    mneme_find(${library} sentencepiece_trainer.h ${library} libsentencepiece-dev
        "no tokenizers trained here")
endforeach()
# The one library without a C interface: src/text/train_tokenizer.cc.
if(TARGET mneme::sentencepiece AND TARGET mneme::sentencepiece_train)
    include(CheckLanguage)
    check_language(CXX)
    if(CMAKE_CXX_COMPILER)
        enable_language(CXX)
    else()
        message(STATUS "no C++ compiler: no tokenizers trained here (apt-get install g++)")
    endif()
endif()
find_package(MPI QUIET COMPONENTS C)
if(NOT MPI_C_FOUND)
    message(STATUS "MPI not found: no runs over several processes (apt-get install libopenmpi-dev)")
endif()
# Scripts that reports carry: read when one is written, so that their absence stops no build.
function(mneme_find_script variable path package)
    get_filename_component(folder ${path} DIRECTORY)
    get_filename_component(name ${path} NAME)
    find_file(${variable} ${name} PATHS ${folder} DOC "Chart library that reports carry")
    mark_as_advanced(${variable})
    if(NOT ${variable})
        message(STATUS "${path} not found: no reports of evaluations (apt-get install ${package})")
        set(${variable} ${path} PARENT_SCOPE)
    endif()
endfunction()
mneme_find_script(MNEME_CHART_JS /usr/share/javascript/chart.js/chart.min.js libjs-chart.js)
mneme_find_script(MNEME_D3_JS /usr/share/javascript/d3/d3.min.js libjs-d3)
if(MNEME_TESTS)
    mneme_find(cmocka cmocka.h cmocka libcmocka-dev)
endif()
# oneDNN, and OpenMP to say how many threads it may use.
set(mneme_product "")
if(NOT MNEME_REF_PRODUCT)
    mneme_find(dnnl oneapi/dnnl/dnnl.h dnnl libdnnl-dev)
    find_package(OpenMP COMPONENTS C)
    if(NOT OpenMP_C_FOUND)
        message(FATAL_ERROR "OpenMP not found for ${CMAKE_C_COMPILER}: "
            "gcc has its own; clang needs apt-get install libomp-dev")
    endif()
    set(mneme_product mneme::dnnl OpenMP::OpenMP_C)
endif()

# ggml and libllama: pointed to, or what the bootstrap built for this compiler and CPU.
set(mneme_llama_version 0.5.0-dev) # of the pinned source; its interfaces drift
set(mneme_llama_root "${MNEME_LLAMA_ROOT}")
if(NOT mneme_llama_root)
    execute_process(COMMAND ${CMAKE_COMMAND} -E env MNEME_GGML_ARCH=${MNEME_GGML_ARCH}
        ${PROJECT_SOURCE_DIR}/scripts/bootstrap --find
        OUTPUT_VARIABLE mneme_llama_root OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE missing)
    if(missing)
        message(FATAL_ERROR "ggml and libllama are not built yet for '${MNEME_GGML_ARCH}': "
            "run scripts/bootstrap (or make), or point -DMNEME_LLAMA_ROOT= to a prefix with "
            "include/llama.h and lib/libllama.so")
    endif()
endif()
add_library(mneme::llama INTERFACE IMPORTED)
foreach(name llama ggml ggml-base ggml-cpu)
    find_library(lib_${name} ${name} PATHS "${mneme_llama_root}" PATH_SUFFIXES lib
        NO_DEFAULT_PATH NO_CACHE)
    if(NOT lib_${name})
        message(FATAL_ERROR "${mneme_llama_root} holds no lib/lib${name}.so")
    endif()
    target_link_libraries(mneme::llama INTERFACE ${lib_${name}})
endforeach()
target_include_directories(mneme::llama INTERFACE ${mneme_llama_root}/include)
get_filename_component(mneme_llama_libdir ${lib_llama} DIRECTORY)
if(MNEME_LLAMA_ROOT)
    unset(mneme_llama_runs CACHE)
    try_run(mneme_llama_runs mneme_llama_compiles ${PROJECT_BINARY_DIR}/llama_version
        ${PROJECT_SOURCE_DIR}/cmake/llama_version.c LINK_LIBRARIES mneme::llama
        RUN_OUTPUT_VARIABLE found)
    if(NOT found STREQUAL mneme_llama_version)
        message(FATAL_ERROR "MNEME_LLAMA_ROOT=${MNEME_LLAMA_ROOT} holds libllama '${found}'; "
            "mneme is written for ${mneme_llama_version}")
    endif()
endif()
message(STATUS "libllama: ${mneme_llama_root}")
