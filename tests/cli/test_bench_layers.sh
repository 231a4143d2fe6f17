# Times of layers: every row has every key, rivals have the same shape. Tiny shapes: no result.
. "$(dirname "$0")/lib.sh"
run bench --layers --quick --repeat 1 --json
want_code 0
want_json "d['quick'] and d['notes'] == [] and {'machine', 'commit', 'rows', 'version'} <= set(d)"
want_json "all({'layer', 'shape', 'params', 'active', 'phase', 'batch', 'dtype', 'us', 'bytes',
    'flops', 'rival', 'rival_us', 'ratio', 'limit_share', 'limit', 'uses'} <= set(r)
    for r in d['rows'])"
want_json "{r['phase'] for r in d['rows']} == {'forward', 'backward', 'decode'}"
want_json "all(r['us'] > 0 and r['flops'] > 0 and r['bytes'] > 0 and 0 < r['active'] <= r['params']
    for r in d['rows'] if r['layer'] != 'cosformer')"
want_json "all(r['rival'] is None or abs(r['ratio'] * r['us'] / r['rival_us'] - 1) < 1e-3
    for r in d['rows'])"
want_json "{r['layer'] for r in d['rows'] if r['phase'] == 'backward'} == {'softmax', 'performer',
    'cosformer', 'linformer', 'look-up qkv', 'dense', 'swiglu', 'moe', 'memoryformer', 'lookup_ffn',
    'lookup_ffn bh4', 'pkm', 'memory_plus', 'ultramem', 'ultramem_v2'}"
# Whom a row is compared with stands in another row of the same shape, phase and batch.
want_json "all(any(o['layer'] == r['rival'].split()[0] and o['shape'] == r['shape'] and
    o['phase'] == r['phase'] and o['batch'] == r['batch'] for o in d['rows'])
    for r in d['rows'] if r['rival'])"
want_json "[r['batch'] for r in d['rows'] if r['layer'] == 'ultramem' and r['phase'] == 'decode']
    == [1, 8, 64, 1, 8, 64]"

run bench --layers --quick --repeat 1 -t 1
want_code 0
want_out "of limit" "memory layer" "ultramem_v2"
refused 2 bench --layers --quick --repeat 0 -- "--repeat: a number from 1"
finish
