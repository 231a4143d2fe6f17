/* test_tokenizer_learn.c: a tokenizer that was learned here gives by libllama's reader the very ids
 * that SentencePiece gives; texts become shards by it, and by any other GGUF file's. */
#include "train/tokenizer.h"

#include "abc_vocab.h"
#include "eval_fixture.h"
#include "text/train_tokenizer.h"
#include "text/vocab_hash.h"

/* A GGUF file of the letters' vocabulary, or of all its keys but one. */
static const char *write_abc(const char *name, const char *without)
{
    const char *path = tiny_model_path(name);
    struct gguf_context *g = abc_vocab_meta();
    if (without) gguf_remove_key(g, without);
    assert_true(gguf_write_to_file(g, path, true));
    gguf_free(g);
    return path;
}

static void open_tokenizer(mn__tokenizer *t, const char *path)
{
    mn_diag diag = {""};
    if (mn__tokenizer_open(t, path, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static void test_taken(void **state)
{
    (void)state;
    mn__tokenizer t;
    mn__shard s;
    mn__shard_info info;
    mn_diag diag = {""};
    const size_t before = ef_held();
    open_tokenizer(&t, write_abc("abc.gguf", NULL));
    assert_true(t.n_token == ABC_N && t.end == ABC_EOS);
    const char *text = ef_write_text("abc.txt", "abc\n<|endoftext|>\nb c\n");
    const char *shard = tiny_model_path("abc.shard");
    assert_int_equal(mn__tokenizer_shard(&t, shard, &text, 1, NULL, &info, &diag), MN_OK);
    assert_int_equal(info.n_document, 2);
    assert_int_equal(mn__shard_open(&s, shard, t.hash ^ 1, &diag), MN_EINPUT);
    assert_int_equal(mn__shard_open(&s, shard, t.hash, &diag), MN_OK);
    int32_t got[16],
        want[] = {ABC_SPACE, ABC_ABC, ABC_EOS, ABC_SPACE, ABC_B, ABC_SPACE, ABC_C, ABC_EOS};
    assert_int_equal(s.info.n_token, 8);
    mn__shard_read(&s, 0, 8, got);
    /* " abc" by this vocabulary: the longer piece wins, whichever it is. */
    mn_token_buf buf = {got + 8, 8, 0, 0};
    assert_int_equal(mn__vocab_tokenize(t.vocab, "abc", 3, 0, &buf, &diag), MN_OK);
    assert_int_equal(buf.n, 2);
    memcpy(want, buf.data, 2 * sizeof *want);
    assert_memory_equal(got, want, sizeof want);
    mn__shard_close(&s);
    /* Parts of a document are no documents. */
    char words[201] = "";
    for (size_t i = 0; i < 200; i += 4) memcpy(words + i, "abc ", 5);
    const mn__documents_params parts = {.part_bytes = 64};
    text = ef_write_text("abc.txt", words);
    assert_int_equal(mn__tokenizer_shard(&t, shard, &text, 1, &parts, &info, &diag), MN_OK);
    assert_true(info.n_document == 1 && info.n_token > 100);
    text = ef_write_text("bad.txt", "abc\xff");
    assert_int_equal(mn__tokenizer_shard(&t, shard, &text, 1, NULL, &info, &diag), MN_EINPUT);
    assert_int_equal(mn__shard_open(&s, shard, t.hash, &diag), MN_OK); /* the old one stands */
    mn__shard_close(&s);
    mn__tokenizer_close(&t);
    const char *none = write_abc("none.gguf", "tokenizer.ggml.model");
    assert_int_equal(mn__tokenizer_open(&t, none, &diag), MN_EINPUT);
    assert_true(strncmp(diag.text, none, strlen(none)) == 0);
    assert_non_null(strstr(diag.text, "no tokenizer"));
    assert_int_equal(ef_held(), before);
}

/* Whatever is refused, nothing stays behind and the old shard stands. */
static void test_no_memory(void **state)
{
    (void)state;
    mn__tokenizer t;
    mn_status st = MN_ENOMEM;
    int n_refused = 0;
    open_tokenizer(&t, write_abc("abc.gguf", NULL));
    const char *text = ef_write_text("abc.txt", "abc\nabc abc\n"),
               *shard = tiny_model_path("abc.shard");
    const size_t before = ef_held();
    for (size_t limit = 1; st == MN_ENOMEM; limit += 5000) {
        mn_diag diag = {""};
        mn_mem_set_limit(before + limit);
        st = mn__tokenizer_shard(&t, shard, &text, 1, NULL, NULL, &diag);
        mn_mem_set_limit(0);
        n_refused += st != MN_OK;
        assert_int_equal(ef_held(), before);
        if (st != MN_OK) assert_non_null(strstr(diag.text, "memory"));
    }
    assert_int_equal(st, MN_OK);
    assert_true(n_refused > 3);
    mn__tokenizer_close(&t);
}

/* Its keys go on into another file, and only they. */
static void test_put(void **state)
{
    (void)state;
    mn__tokenizer t, back;
    mn__gguf_writer *w;
    mn_diag diag = {""};
    const char *path = tiny_model_path("put.gguf");
    open_tokenizer(&t, write_abc("abc.gguf", NULL));
    assert_int_equal(mn__gguf_writer_new(&w, &diag), MN_OK);
    mn__gguf_set_str(w, "general.architecture", "own");
    mn__tokenizer_put(&t, w); /* the other file has an architecture too */
    assert_int_equal(mn__gguf_write(w, path, &diag), MN_OK);
    mn__gguf_writer_free(w);
    open_tokenizer(&back, path);
    const struct gguf_context *g = mn__gguf_get_context(back.file);
    assert_string_equal(gguf_get_val_str(g, gguf_find_key(g, "general.architecture")), "own");
    assert_true(back.hash == t.hash && back.n_token == t.n_token);
    mn__tokenizer_close(&back);
    mn__tokenizer_close(&t);
}

static void test_hash(void **state)
{
    (void)state;
    struct gguf_context *g = abc_vocab_meta(), *turned = gguf_init_empty();
    const uint64_t hash = mn__vocab_hash(g);
    gguf_set_val_u32(turned, "tokenizer.ggml.eos_token_id", 9);
    gguf_set_val_u32(turned, "other", 9);
    gguf_set_val_str(turned, "tokenizer.chat_template", "x");
    gguf_set_kv(turned, g); /* the same keys in another order */
    assert_true(mn__vocab_hash(turned) == hash);
    gguf_set_val_u32(turned, "tokenizer.ggml.eos_token_id", ABC_BOS);
    assert_true(mn__vocab_hash(turned) != hash);
    gguf_set_val_u32(turned, "tokenizer.ggml.eos_token_id", ABC_EOS);
    assert_true(mn__vocab_hash(turned) == hash);
    gguf_set_val_bool(turned, "tokenizer.ggml.add_space_prefix", false);
    assert_true(mn__vocab_hash(turned) != hash);
    gguf_free(g);
    gguf_free(turned);
}

#ifdef MN_HAVE_SENTENCEPIECE

enum { VOCAB = 700, ROOM = 4096 };

static const char *const code[] = {
    "for (int i = 0; i < n; i++) {",
    "        sum += x[i] * x[i];",
    "    }",
    "\tif (!p) return NULL;",
    "<s>bold</s> <0x41> <unk> <s> ",
    "static const char *name = \"\";",
};
static const char *const japanese[] = {
    "吾輩は猫である。名前はまだ無い。",
    "どこで生れたかとんと見当がつかぬ。",
    "吾輩は猫である。名前はまだつけてくれない。",
};

/* English of a book, and code and Japanese again and again. The caller's (free). */
static char *make_corpus(size_t *n)
{
    char *text = calloc(1, 1 << 20);
    FILE *file = fopen(MN_TEST_DIR "/data/moonstone.txt", "rb");
    assert_true(text && file);
    *n = fread(text, 1, 120000, file);
    fclose(file);
    while ((text[*n - 1] & 0x80) != 0) --*n;
    for (size_t i = 0; i < 400; i++) {
        const char *line = i % 2 ? code[i / 2 % 6] : japanese[i / 2 % 3];
        *n += (size_t)snprintf(text + *n, 256, "\n%s", line);
    }
    return text;
}

typedef struct cursor {
    const char *at, *end;
} cursor;

static bool next_line(void *ctx, const char **line, size_t *n)
{
    cursor *c = ctx;
    while (c->at < c->end && *c->at == '\n') c->at++;
    if (c->at >= c->end) return false;
    *line = c->at;
    const char *end = memchr(c->at, '\n', (size_t)(c->end - c->at));
    if (!end) end = c->end;
    *n = (size_t)(end - c->at);
    c->at = end;
    return true;
}

/* The tokens give the text back; those of a lower block mean a space. */
static void expect_back(const mn__tokenizer *t, const int32_t *token, size_t n, const char *text,
                        size_t n_text)
{
    static char out[4 * ROOM];
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        mn_text_buf piece = {out + at, sizeof out - at, 0};
        assert_int_equal(mn__vocab_token_text(t->vocab, token[i], false, &piece, NULL), MN_OK);
        at += piece.n;
        assert_true(at < sizeof out);
    }
    if (memmem(text, n_text, "\xE2\x96\x81", 3)) return;
    assert_int_equal(at, n_text);
    if (n_text) assert_memory_equal(out, text, n_text);
}

static void expect_ids(const mn__tokenizer *t, const mn__spm *spm, const char *text, size_t n,
                       const char *spm_text, size_t n_spm)
{
    static int32_t want[ROOM], got[ROOM];
    mn_diag diag = {""};
    mn_token_buf buf = {got, ROOM, 0, 0};
    const size_t n_want = mn__spm_encode(spm, spm_text, n_spm, want, ROOM);
    assert_int_equal(mn__vocab_tokenize(t->vocab, text, n, 0, &buf, &diag), MN_OK);
    assert_true(buf.n <= ROOM);
    for (size_t i = 0; i < buf.n && i < n_want; i++)
        if (got[i] != want[i])
            fail_msg("%.*s: token %zu: %d wanted, %d found", (int)n, text, i, want[i], got[i]);
    assert_int_equal(buf.n, n_want);
    if (memchr(spm_text, '\xFF', n_spm) == NULL) expect_back(t, got, buf.n, spm_text, n_spm);
}

static void expect_text(const mn__tokenizer *t, const mn__spm *spm, const char *text)
{
    expect_ids(t, spm, text, strlen(text), text, strlen(text));
}

static void expect_all(const mn__tokenizer *t, const mn__spm *spm, const char *corpus,
                       size_t n_corpus)
{
    static const char *const texts[] = {
        "",
        " ",
        "  two spaces  and more    ",
        "\n\n\ta\tb\r\n",
        "a",
        "12345 6.78e-9 0x1F",
        "The quick brown fox jumps over the lazy dog; never seen in a book.",
        "未知の漢字も出る：鬱蒼、纏綿。カタカナ・ひらがな１２３",
        ("emoji \xF0\x9F\x98\x80\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB caf\xC3\xA9 "
         "e\xCC\x81 \xE2\x96\x81lower block\xE2\x96\x81"),
        "<s>a</s> </s><s> <unk> <0x41><0x0A> s> </ <s",
        "\xEF\xBF\xBD broken already",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) expect_text(t, spm, texts[i]);
    for (size_t i = 0; i < 6; i++) expect_text(t, spm, code[i]);
    for (size_t i = 0; i < 3; i++) expect_text(t, spm, japanese[i]);
    for (size_t at = 0; at + 1004 < n_corpus; at += 1000) { /* lines and their breaks */
        size_t n = 1000;
        while ((corpus[at + n] & 0xC0) == 0x80) n++;
        size_t skip = 0;
        while ((corpus[at + skip] & 0xC0) == 0x80) skip++;
        expect_ids(t, spm, corpus + at + skip, n - skip, corpus + at + skip, n - skip);
    }
    /* Invalid bytes: both read a lone one as U+FFFD; of a character that is cut, SentencePiece
     * makes one a byte, we one in all, as Unicode recommends. */
    expect_text(t, spm,
                "a\xFF"
                "b\x80");
    expect_ids(t, spm, "a\xE3\x81 b", 5, "a\xEF\xBF\xBD b", 6);
}

static void test_learned(void **state)
{
    (void)state;
    size_t n;
    char *corpus = make_corpus(&n), why[256];
    const char *text = ef_write("learn.txt", corpus, n), *path = tiny_model_path("learned.gguf");
    const mn__tokenizer_params p = {.n_vocab = VOCAB};
    mn_diag diag = {""};
    mn__tokenizer t;
    mn__spm *spm;
    cursor c = {corpus, corpus + n};
    const mn__spm_params sp = {VOCAB, 0.9995, next_line, &c};
    const size_t before = ef_held();
    if (mn__tokenizer_learn(path, &text, 1, NULL, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    if (!mn__spm_train(&spm, &sp, why, sizeof why)) fail_msg("%s", why);
    open_tokenizer(&t, path);
    assert_true(t.n_token == VOCAB && mn__spm_n(spm) == VOCAB && t.end == MN__SPM_END);
    expect_all(&t, spm, corpus, n);
    mn_token_buf one = {NULL, 0, 0, 0};
    const char *known = "吾輩は猫である";
    assert_int_equal(mn__vocab_tokenize(t.vocab, known, strlen(known), 0, &one, &diag), MN_OK);
    assert_true(one.n <= 3); /* it did learn */
    int32_t begun[8];
    one = (mn_token_buf){begun, 8, 0, 0};
    assert_int_equal(mn__vocab_tokenize(t.vocab, "", 0, MN_TOKENIZE_ADD_SPECIAL, &one, &diag),
                     MN_OK);
    assert_true(one.n == 1 && begun[0] == MN__SPM_END && mn__vocab_is_end(t.vocab, MN__SPM_END));
    mn_text_buf none = {NULL, 0, 1};
    assert_int_equal(mn__vocab_token_text(t.vocab, MN__SPM_END, false, &none, &diag), MN_OK);
    assert_int_equal(none.n, 0); /* a control token */
    mn__spm_free(spm);
    mn__tokenizer_close(&t);
    assert_int_equal(ef_held(), before);
    free(corpus);
}

/* A sample that is a part of the corpus: the same again for the same seed, another for another. */
static void test_sample(void **state)
{
    (void)state;
    size_t n;
    char *corpus = make_corpus(&n);
    const char *text = ef_write("learn.txt", corpus, n), *path = tiny_model_path("learned.gguf");
    mn__tokenizer_params p = {.n_vocab = 480, .sample_bytes = 12000, .seed = 3};
    mn_diag diag = {""};
    uint64_t hash[3];
    free(corpus);
    for (size_t i = 0; i < 3; i++) {
        mn__tokenizer t;
        p.seed = i == 2 ? 4 : 3;
        assert_int_equal(mn__tokenizer_learn(path, &text, 1, NULL, &p, &diag), MN_OK);
        open_tokenizer(&t, path);
        hash[i] = t.hash;
        mn__tokenizer_close(&t);
    }
    assert_true(hash[0] == hash[1] && hash[1] != hash[2]);
}

static void test_refused(void **state)
{
    (void)state;
    const char *path = tiny_model_path("never.gguf");
    const char *text = ef_write_text("small.txt", "a b c d e\n");
    mn_diag diag = {""};
    const size_t before = ef_held();
    mn__tokenizer_params p = {.n_vocab = 319};
    assert_int_equal(mn__tokenizer_learn(path, &text, 1, NULL, &p, &diag), MN_EUSAGE);
    p = (mn__tokenizer_params){.n_vocab = 400, .coverage = 0.5};
    assert_int_equal(mn__tokenizer_learn(path, &text, 1, NULL, &p, &diag), MN_EUSAGE);
    p.coverage = 0;
    assert_int_equal(mn__tokenizer_learn(path, &text, 1, NULL, &p, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "no tokenizer of 400 tokens from a sample of 9 bytes"));
    text = ef_write_text("small.txt", "a b\xff");
    assert_int_equal(mn__tokenizer_learn(path, &text, 1, NULL, &p, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "UTF-8"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(ef_held(), before);
}

#else

static void test_absent(void **state)
{
    (void)state;
    const mn__tokenizer_params p = {.n_vocab = 400};
    mn_diag diag = {""};
    const char *text = "any.txt";
    assert_int_equal(mn__tokenizer_learn("out.gguf", &text, 1, NULL, &p, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "built without SentencePiece"));
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),   cmocka_unit_test(test_hash),
        cmocka_unit_test(test_put),     cmocka_unit_test(test_no_memory),
#ifdef MN_HAVE_SENTENCEPIECE
        cmocka_unit_test(test_learned), cmocka_unit_test(test_sample),
        cmocka_unit_test(test_refused),
#else
        cmocka_unit_test(test_absent),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
