# mneme-kern: a forced level is what is proven, one that the machine lacks is skipped and says so.
. "$(dirname "$0")/lib.sh"
MNEME=$MNEME_BUILD/mneme-kern
unset MN_TEST_CPU
levels() { awk '$3 == "ok" { print $2 }' out | sort -u | tr '\n' ' '; } # that were proven

run rms_norm
want_code 0
all=$(levels)
check "'$all' proven, all levels of the machine wanted" [ "${all/spoiled/}" != "$all" ]
for level in ref avx2 avx512 avx512bf16 amx; do
    proven=$level
    [ $level = ref ] && proven=spoiled # the plain kernels: do their proofs notice a wrong value?
    MN_TEST_CPU=$level run rms_norm
    if grep -q "^skipped: $level: not on this machine" out; then
        want_code 77
        want_out "0 passed, 0 failed, 1 skipped"
        continue
    fi
    want_code 0
    case " $(levels)" in
    " $proven " | " $proven dpbf16 ") ;;
    *) wrong "$said: '$(levels)' proven, '$proven' alone wanted" ;;
    esac
    mv out forced
    MN_TEST_CPU=ref run --cpu $level rms_norm
    check "--cpu does not go before MN_TEST_CPU" cmp -s out forced
done
MN_TEST_CPU=auto run rms_norm
check "'$(levels)' proven at auto, '$all' wanted" [ "$(levels)" = "$all" ]
misused() { want_code 2; want_err "$1" "usage: mneme-kern"; want_no_out; }
MN_TEST_CPU=z80 run rms_norm
misused "unknown level"
run --cpu
misused "incomplete option"
run nosuchkernel
misused "no kernel has this in its name"
finish 12
