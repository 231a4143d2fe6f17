/* test_state.c: session files: what comes back is what went in, bit for bit; what is damaged, cut,
 * or asks for another model or other options is refused with a sentence and nothing leaks. */
#include "state_fixture.h"

#include "infer/state_file.h"

/* ---- what comes back ---- */

typedef struct way {
    const char *policy, *budget;
    mn_kv_type kv_type;
    mn_positions positions;
} way;

static void same_info(const mn_session *a, const mn_session *b)
{
    mn_session_info x, y;
    mn_session_get_info(a, &x);
    mn_session_get_info(b, &y);
    assert_int_equal(x.n_seen, y.n_seen);
    assert_int_equal(x.last_token, y.last_token);
    assert_int_equal(x.kv_bytes, y.kv_bytes);
    assert_int_equal(x.kv_window_bytes, y.kv_window_bytes);
    assert_int_equal(x.kv_peak_bytes, y.kv_peak_bytes);
    assert_int_equal(x.policy_bytes, y.policy_bytes);
    assert_int_equal(x.n_nan_scores, y.n_nan_scores);
    assert_true(x.kept_share == y.kept_share && x.forward_s == y.forward_s);
}

static void same_kept(const mn_model *m, const mn_session *a, const mn_session *b)
{
    mn_model_info info;
    mn_model_get_info(m, &info);
    for (size_t l = 0; l < info.n_layer; l++)
        for (size_t h = 0; h < info.n_kv_head; h++) {
            const int32_t *x, *y;
            size_t n = mn_session_kept(a, l, h, &x);
            assert_int_equal(n, mn_session_kept(b, l, h, &y));
            assert_memory_equal(x, y, n * sizeof *x);
        }
}

/* Save after 200 + 30 tokens; the loaded one and the one that was never away go on alike. */
static void go_on(const mn_model *m, const way *w)
{
    const char *path = file_path();
    mn_session_params p = fix_params(w->policy, w->budget);
    p.kv_type = w->kv_type;
    p.positions = w->positions;
    mn_session *a = fix_session(m, &p);
    fix_read(a, 0, 200, true);
    fix_write(a, 200, 30);
    save(a, path);
    mn_session *b = load(m, &p, path);
    same_info(a, b);
    same_kept(m, a, b);
    float *first = fix_keep(m, fix_write(a, 230, 1));
    fix_same(m, first, fix_write(b, 230, 1), w->policy);
    fix_same(m, fix_write(a, 231, 40), fix_write(b, 231, 40), w->policy);
    fix_same(m, fix_read(a, 271, 90, true), fix_read(b, 271, 90, true), w->policy);
    fix_same(m, fix_write(a, 361, 20), fix_write(b, 361, 20), w->policy);
    same_kept(m, a, b);
    free(first);
    mn_session_free(a);
    mn_session_free(b);
    remove(path);
}

static void test_goes_on(void **state)
{
    (void)state;
    const way ways[] = {
        {"full", "", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"full", "", MN_KV_Q8, MN_POSITIONS_AUTO},
        {"streaming:chunk=32", "80", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"streaming", "80", MN_KV_Q8, MN_POSITIONS_COMPACT},
        {"h2o", "80", MN_KV_F32, MN_POSITIONS_AUTO},
        {"h2o:chunk=64", "50%", MN_KV_BF16, MN_POSITIONS_COMPACT},
        {"keyformer", "80", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"snapkv:every=16", "90", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"adakv:every=16", "90", MN_KV_F32, MN_POSITIONS_AUTO},
        {"window:share=layer", "90", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"tova:pool=7,chunk=32", "90", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"expected:every=16", "70", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"random:every=8", "70", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"tova", "200K", MN_KV_F32, MN_POSITIONS_AUTO},
        {"h2o:merge=similar", "80", MN_KV_BF16, MN_POSITIONS_COMPACT},
        {"h2o:merge=later", "80", MN_KV_Q8, MN_POSITIONS_AUTO},
        {"adakv:every=16,mass=1,skip=1,merge=similar", "90", MN_KV_F32, MN_POSITIONS_AUTO},
        {"critical:every=16,norm=l2", "90", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"random:threshold=0.4,recent=16,every=8", "", MN_KV_BF16, MN_POSITIONS_AUTO},
        {"keyformer:tau_delta=0.05", "80", MN_KV_F32, MN_POSITIONS_AUTO},
    };
    mn_model *llama = fix_model("llama"), *gemma = fix_model("gemma3");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        go_on(llama, &ways[i]);
        if (i % 3 == 0) go_on(gemma, &ways[i]);
    }
    mn_model_free(llama);
    mn_model_free(gemma);
}

/* Nothing read yet; and read so far that blocks of the file end inside arrays. */
static void test_empty_and_long(void **state)
{
    (void)state;
    const char *path = file_path();
    mn_model *m = fix_model("gemma3");
    mn_session_params p = fix_params("h2o", "900");
    mn_session *a = fix_session(m, &p);
    save(a, path);
    mn_session *b = load(m, &p, path);
    float *want = fix_keep(m, fix_read(a, 0, 800, true));
    fix_same(m, want, fix_read(b, 0, 800, true), "from nothing");
    mn_session_free(b);
    save(a, path);
    b = load(m, &p, path);
    fix_same(m, fix_write(a, 800, 3), fix_write(b, 800, 3), "after 800");
    free(want);
    mn_session_free(a);
    mn_session_free(b);
    mn_model_free(m);
    remove(path);
}

/* Pages that forks share are written out like others, and the file is the same. */
static void test_fork(void **state)
{
    (void)state;
    const char *path = file_path();
    mn_session *fork = NULL;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("h2o", "80");
    mn_session *a = fix_session(m, &p);
    fix_read(a, 0, 150, true);
    assert_int_equal(mn_session_fork(&fork, a, NULL), MN_OK);
    fix_write(a, 300, 20);
    save(fork, path);
    mn_session *b = load(m, &p, path);
    fix_same(m, fix_write(fork, 150, 20), fix_write(b, 150, 20), "fork");
    mn_session_free(a);
    mn_session_free(b);
    mn_session_free(fork);
    mn_model_free(m);
    remove(path);
}

/* A smaller context will do as long as it has room for what is held, ragged lanes included. */
static void test_smaller_context(void **state)
{
    (void)state;
    const char *path = file_path();
    mn_diag diag = {""};
    const float *logits;
    size_t longest = 0;
    mn_model *m = fix_model("gemma3");
    mn_session_params p = fix_params("adakv:every=16", "60");
    mn_session *a = fix_session(m, &p), *b = NULL;
    fix_read(a, 0, 300, true);
    for (size_t l = 0; l < 7; l++)
        for (size_t h = 0; h < 2; h++) {
            const int32_t *token;
            size_t n = mn_session_kept(a, l, h, &token);
            if (l == 5 && n > longest) longest = n; /* the one layer that sees everything */
        }
    assert_in_range(longest, 61, 150); /* ragged */
    save(a, path);
    p.n_ctx = longest - 1;
    assert_int_equal(mn_session_load(&b, m, &p, path, &diag), MN_ERANGE);
    assert_null(b);
    p.n_ctx = longest;
    b = load(m, &p, path);
    same_kept(m, a, b);
    assert_int_equal(mn_session_step(b, 7, &logits, &diag), MN_EBUDGET); /* full, and says so */
    mn_session_free(b);
    p.n_ctx = longest + 64;
    b = load(m, &p, path);
    fix_same(m, fix_write(a, 300, 40), fix_write(b, 300, 40), "a smaller context");
    mn_session_free(a);
    mn_session_free(b);
    mn_model_free(m);
    remove(path);
}

/* Seed and pins are the sequence's own; context, step and threads may be others. */
static void test_what_may_differ(void **state)
{
    (void)state;
    const char *path = file_path();
    const mn_pin pin[2] = {{40, 44}, {60, 61}}, more[2] = {{60, 61}, {70, 72}};
    const int32_t *token;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("random:every=4", "48");
    p.seed = 77;
    p.pin = pin;
    p.n_pin = 2;
    mn_session *a = fix_session(m, &p);
    fix_read(a, 0, 100, true);
    save(a, path);
    p.seed = 1;
    p.pin = NULL;
    p.n_pin = 0;
    p.n_ctx = 300;
    p.chunk = 16;
    p.n_thread = 2;
    mn_session *b = load(m, &p, path);
    fix_same(m, fix_write(a, 100, 100), fix_write(b, 100, 100), "seed and pins");
    same_kept(m, a, b);
    p.pin = more;
    p.n_pin = 2;
    mn_session *c = load(m, &p, path);
    fix_write(c, 100, 100);
    size_t n = mn_session_kept(c, 0, 0, &token), found = 0;
    for (size_t i = 0; i < n; i++) found += (token[i] >= 40 && token[i] < 44) || token[i] == 60;
    assert_int_equal(found, 5);
    mn_session_free(a);
    mn_session_free(b);
    mn_session_free(c);
    mn_model_free(m);
    remove(path);
}

/* ---- what is refused ---- */

static void refuse(const mn_model *m, const mn_session_params *p, const char *path, const char *say,
                   const char *and_say)
{
    mn_diag diag = {""};
    mn_session *s = (mn_session *)1;
    size_t before = fix_total();
    mn_status st = mn_session_load(&s, m, p, path, &diag);
    assert_true(st == MN_EINPUT || st == MN_ERANGE || st == MN_EIO);
    assert_null(s);
    assert_int_equal(fix_total(), before);
    if (!strstr(diag.text, path) || strstr(diag.text + 1, path) == diag.text + strlen(path) + 2)
        fail_msg("the file's name is wanted once in: %s", diag.text);
    if (!strstr(diag.text, say) || !strstr(diag.text, and_say))
        fail_msg("'%s' and '%s' wanted in: %s", say, and_say, diag.text);
}

static void test_other_model_or_options(void **state)
{
    (void)state;
    const char *path = file_path();
    tiny_model_params tp;
    tiny_model_default(&tp, "llama");
    tp.n_ctx = FIX_TOKENS;
    tp.seed = 2;
    mn_model *m = fix_model("llama"), *other = fix_open(&tp), *gemma = fix_model("gemma3");
    mn_session_params p = fix_params("h2o", "80"), q;
    mn_session *s = fix_session(m, &p);
    fix_read(s, 0, 200, true);
    save(s, path);
    mn_session_free(load(m, &p, path));
    refuse(other, &p, path, "saved with the model 'tiny'", "opened with 'tiny'");
    refuse(gemma, &p, path, "saved with the model", "opened with");
    q = fix_params("h2o:every=2", "80");
    refuse(m, &q, path, "saved with policy 'h2o:", "every=2");
    q = fix_params("h2o", "81");
    refuse(m, &q, path, "saved with budget '80'", "opened with '81'");
    q = p;
    q.kv_type = MN_KV_F32;
    refuse(m, &q, path, "cache type 'bf16'", "'f32'");
    q = p;
    q.positions = MN_POSITIONS_COMPACT;
    refuse(m, &q, path, "positions 'absolute'", "'compact'");
    q = p;
    q.n_ctx = 79;
    refuse(m, &q, path, "layer 0 head 0 holds 80 tokens",
           "at most 79 fit the context it is opened with");
    mn_session_free(s);
    mn_model_free(m);
    mn_model_free(other);
    mn_model_free(gemma);
    remove(path);
}

/* Make size and checksum fit, as a hostile writer would. */
static void write_sealed(const char *path, bytes b)
{
    uint64_t hash = 0, size = b.size;
    memcpy(b.data + offsetof(mn__state_head, file_bytes), &size, sizeof size);
    for (size_t at = 0; at < b.size - 8; at += MN__STATE_BLOCK) {
        size_t rest = b.size - 8 - at;
        hash = mn__hash64(b.data + at, rest < MN__STATE_BLOCK ? rest : MN__STATE_BLOCK, hash);
    }
    memcpy(b.data + b.size - 8, &hash, sizeof hash);
    write_all(path, b.data, b.size);
}

/* A saved session of a policy with all there is: slot state, lanes whose keys have moved. */
static bytes make_saved(const mn_model *m, const mn_session_params *p, const char *path)
{
    mn_session *s = fix_session(m, p);
    fix_read(s, 0, 200, true);
    fix_write(s, 200, 10);
    save(s, path);
    mn_session_free(s);
    bytes b = read_all(path);
    write_sealed(path, b); /* nothing changed: still good */
    mn_session_free(load(m, p, path));
    return b;
}

static void test_damaged(void **state)
{
    (void)state;
    const char *path = file_path();
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("h2o", "150");
    p.positions = MN_POSITIONS_COMPACT;
    p.kv_type = MN_KV_F32;
    bytes b = make_saved(m, &p, path);
    assert_true(b.size > 2 * MN__STATE_BLOCK); /* the chain of blocks matters */
    for (size_t at = sizeof(mn__state_head); at < b.size; at += b.size / 40) {
        b.data[at] ^= 0x10;
        write_all(path, b.data, b.size);
        refuse(m, &p, path, "damaged: checksum", "wanted");
        b.data[at] ^= 0x10;
    }
    for (size_t n = 100; n < b.size; n += b.size / 20) {
        write_all(path, b.data, n);
        refuse(m, &p, path, n < sizeof(mn__state_head) + 8 ? "not a session file" : "bytes wanted",
               "");
    }
    mn__state_head head;
    memcpy(&head, b.data, sizeof head);
    const uint64_t claim = FIX_TOKENS - 1;
    size_t lane = sizeof head + head.name_bytes + head.policy_bytes + head.budget_bytes;
    memcpy(b.data + lane, &claim, sizeof claim); /* fits the context, but not the file */
    write_sealed(path, b);
    refuse(m, &p, path, "layer 0 head 0: it claims more bytes than the file has", "");
    b.data[8] = 9;
    write_all(path, b.data, b.size);
    refuse(m, &p, path, "version 4 wanted", "version 9 found");
    write_all(path, (const uint8_t *)"GGUF", 4);
    refuse(m, &p, path, "not a session file", "");
    remove(path);
    refuse(m, &p, path, "cannot open", "No such file");
    free(b.data);
    mn_model_free(m);
}

/* One number changed, and the checksum with it. */
typedef struct lie {
    size_t at, width;
    int64_t value;
    const char *say;
} lie;

static void tell_lie(const mn_model *m, const mn_session_params *p, bytes good, lie x)
{
    const char *path = file_path();
    bytes b = {malloc(good.size), good.size};
    assert_non_null(b.data);
    memcpy(b.data, good.data, good.size);
    assert_true(memcmp(b.data + x.at, &x.value, x.width) != 0);
    memcpy(b.data + x.at, &x.value, x.width);
    write_sealed(path, b);
    refuse(m, p, path, x.say, "");
    free(b.data);
}

static void test_lies(void **state)
{
    (void)state;
    const char *path = file_path();
    mn_model *m = fix_model("gemma3");
    mn_session_params p = fix_params("h2o", "80");
    const mn_pin pin = {3, 5};
    p.positions = MN_POSITIONS_COMPACT;
    p.pin = &pin;
    p.n_pin = 1;
    bytes b = make_saved(m, &p, path);
    mn__state_head head;
    memcpy(&head, b.data, sizeof head);
    size_t pins = sizeof head + head.name_bytes + head.policy_bytes + head.budget_bytes;
    size_t lane = pins + 16, pos = lane + 16;
    uint64_t n; /* the first lane slides: 5 of 6 layers do */
    memcpy(&n, b.data + lane, 8);
    assert_int_equal(n, 210 % 64);
#define HEAD(field) offsetof(mn__state_head, field), sizeof head.field
    const lie lies[] = {
        {HEAD(n_layer), 8, "saved with the model"},
        {HEAD(n_seen), -1, "-1 tokens read"},
        {HEAD(n_seen), (int64_t)1 << 40, "tokens read"},
        {HEAD(n_seen), 209, "queries from token 210"},
        {HEAD(n_prompt), -7, "-7 of the prompt"},
        {HEAD(query_begin), 211, "queries from token 211"},
        {HEAD(query_begin), 209, "queries from token 209"},
        {HEAD(slot_bytes), 8, "policy state"},
        {HEAD(lane_bytes), 1, "policy state"},
        {HEAD(n_query_ring), 1, "policy state"},
        {HEAD(kv_type), 7, "cache type 'unknown'"},
        {HEAD(compact), 5, "positions 'compact'"},
        {HEAD(last_token), -2, "the last token is -2"},
        {HEAD(last_token), 1 << 20, "the last token is 1048576"},
        {HEAD(name_bytes), 1 << 30, "texts claim more bytes"},
        {HEAD(n_pin), 1 << 30, "texts claim more bytes"},
        {HEAD(policy_bytes), 4, "saved with policy 'h2o:'"},
        {pins, 8, -3, "pinned span 0"},
        {pins + 8, 8, 1, "pinned span 0"},
        {lane, 8, 200, "holds 200 tokens"},
        {lane, 8, -1, "at most 79 fit"},
        {lane, 8, 10, "out of order"},
        {lane + 8, 8, 1, "more keys were moved"},
        {pos, 4, -5, "outside of the text"},
        {pos, 4, 150, "do not follow one another"},
        {pos + 4, 4, 0, "out of order"},
        {pos + 4 * (size_t)n, 4, 208, "out of order"},
    };
#undef HEAD
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) tell_lie(m, &p, b, lies[i]);
    bytes longer = {calloc(1, b.size + 8), b.size + 8};
    assert_non_null(longer.data);
    memcpy(longer.data, b.data, b.size);
    write_sealed(path, longer);
    refuse(m, &p, path, "8 bytes more", "");
    free(longer.data);
    free(b.data);
    mn_model_free(m);
    remove(path);
}

/* Memory that is refused anywhere while loading: a sentence, and nothing stays behind. */
static void test_load_without_memory(void **state)
{
    (void)state;
    const char *path = file_path();
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("h2o", "80");
    free(make_saved(m, &p, path).data);
    size_t base = fix_total(), n_refused = 0;
    mn_model_info info;
    mn_model_get_info(m, &info);
    for (size_t room = 0;; room += 20000) {
        mn_session *s = NULL;
        mn_diag diag = {""};
        mn_mem_set_limit(base - info.file_bytes + room); /* mapped files do not count */
        mn_status st = mn_session_load(&s, m, &p, path, &diag);
        mn_mem_set_limit(0);
        mn_session_free(s);
        assert_int_equal(fix_total(), base);
        if (st == MN_OK) break;
        assert_int_equal(st, MN_ENOMEM);
        assert_null(s);
        assert_true(strlen(diag.text) > 10);
        n_refused++;
    }
    assert_true(n_refused > 10);
    mn_model_free(m);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_empty_and_long),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_smaller_context),
        cmocka_unit_test(test_what_may_differ),
        cmocka_unit_test(test_other_model_or_options),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_load_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
