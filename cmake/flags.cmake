# Flags of our own code: the target mneme_flags, and mneme_isa_flags() for files of kern/x86.
add_library(mneme_flags INTERFACE)
target_compile_definitions(mneme_flags INTERFACE _GNU_SOURCE)
target_compile_options(mneme_flags INTERFACE
    -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes
    # Contraction into fused multiply-adds is stated, never left to the compiler: same build, same
    # bits. Kernels of x86/ are told "fast" per file.
    -ffp-contract=off)
if(MNEME_WERROR)
    target_compile_options(mneme_flags INTERFACE -Werror)
endif()
if(MNEME_SANITIZE)
    set(sanitize -fsanitize=${MNEME_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_compile_options(mneme_flags INTERFACE ${sanitize})
    target_link_options(mneme_flags INTERFACE -fsanitize=${MNEME_SANITIZE})
endif()
if(MNEME_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
        message(FATAL_ERROR "MNEME_FUZZ needs clang (libFuzzer), not ${CMAKE_C_COMPILER_ID}: "
            "use the preset fuzz")
    endif()
    target_compile_options(mneme_flags INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(mneme_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(MNEME_COVERAGE)
    target_compile_options(mneme_flags INTERFACE --coverage)
    target_link_options(mneme_flags INTERFACE --coverage)
endif()
if(MNEME_REF_ONLY)
    target_compile_definitions(mneme_flags INTERFACE MN_REF_ONLY)
endif()
if(MNEME_REF_PRODUCT)
    target_compile_definitions(mneme_flags INTERFACE MN_REF_PRODUCT)
endif()

# What is linked but not used does not travel as a dependency.
target_link_options(mneme_flags INTERFACE -Wl,--as-needed)

# Folders that read untrusted bytes also convert integers in the open.
set(MNEME_CONVERSION_FOLDERS gguf text serve)

# Flags of an ISA file, by the end of its name. Longest suffix wins.
set(mneme_isa_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(mneme_isa_avx512 ${mneme_isa_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl)
set(mneme_isa_avx512vnni ${mneme_isa_avx512} -mavx512vnni)
set(mneme_isa_avx512bf16 ${mneme_isa_avx512} -mavx512bf16)
set(mneme_isa_amx ${mneme_isa_avx512bf16} -mamx-tile -mamx-bf16 -mamx-int8)

# GCC 12 expects locals of 64 bytes on multiples of 64 even in the frames that its address sanitizer
# gives out to watch their use after return, which are aligned to 32: such files go unwatched.
set(mneme_isa_sanitize)
if(MNEME_SANITIZE MATCHES "address" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    set(mneme_isa_sanitize --param=asan-use-after-return=0)
endif()

function(mneme_isa_flags)
    foreach(file IN LISTS ARGN)
        if(file MATCHES "_(avx2|avx512|avx512vnni|avx512bf16|amx)\\.c$")
            set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS
                "${mneme_isa_${CMAKE_MATCH_1}};-ffp-contract=fast;${mneme_isa_sanitize}")
        endif()
    endforeach()
endfunction()
