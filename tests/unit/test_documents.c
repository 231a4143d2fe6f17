/* test_documents.c: documents come out as they stand in plain, packed and JSON files, whatever the
 * length of a part; what is no text is refused where it stands. */
#include "train/documents.h"

#include "eval_fixture.h"

enum { ROOM = 1 << 17 };

/* All documents, each between [ and ], parts parted by |. */
static mn_status read_all(const char *const *path, size_t n_path, const mn__documents_params *p,
                          char *out, mn_diag *diag)
{
    mn__documents *d = NULL;
    mn__document_part part;
    bool found = true;
    size_t n = 0;
    mn_status st = mn__documents_open(&d, path, n_path, p, diag);
    while (st == MN_OK && found) {
        st = mn__documents_next(d, &part, &found, diag);
        if (st != MN_OK || !found) break;
        assert_true(n + part.n + 3 < ROOM);
        assert_true(part.n || (part.ends && !part.begins));
        out[n++] = part.begins ? '[' : '|';
        memcpy(out + n, part.text, part.n);
        n += part.n;
        if (part.ends) out[n++] = ']';
    }
    out[n] = '\0';
    mn__documents_close(d);
    return st;
}

static void expect(const char *path, const mn__documents_params *p, const char *want)
{
    static char out[ROOM];
    mn_diag diag = {""};
    size_t before = ef_held();
    mn_status st = read_all(&path, 1, p, out, &diag);
    if (st != MN_OK) fail_msg("%s", diag.text);
    assert_string_equal(out, want);
    assert_int_equal(ef_held(), before);
}

static void refuse(const char *name, const void *bytes, size_t n, const mn__documents_params *p,
                   const char *want)
{
    static char out[ROOM];
    mn_diag diag = {""};
    const char *path = ef_write(name, bytes, n);
    size_t before = ef_held();
    assert_int_equal(read_all(&path, 1, p, out, &diag), MN_EINPUT);
    if (strncmp(diag.text, path, strlen(path)) != 0 || !strstr(diag.text, want))
        fail_msg("`%s` lacks `%s`", diag.text, want);
    assert_int_equal(ef_held(), before);
}
#define REFUSE(name, text, want) refuse(name, text, sizeof(text) - 1, NULL, want)

static void test_plain(void **state)
{
    (void)state;
    expect(ef_write_text("p.txt", "a\n\nb\n"), NULL, "[a\n\nb]");
    expect(ef_write_text("p.txt", "a"), NULL, "[a]");
    expect(ef_write_text("p.txt", "\n<|endoftext|>\na\n<|endoftext|>\r\n\n\nb <|endoftext|>\n"
                                  "<|endoftext|>x\n<|endoftext|>\n<|endoftext|>\nc\r\n\n"
                                  "<|endoftext|>"),
           NULL, "[a][b <|endoftext|>\n<|endoftext|>x][c]");
}

static void test_packed(void **state)
{
    (void)state;
    static const char text[] = "first\n<|endoftext|>\nsecond\n";
    size_t n_xz, n_zstd;
    uint8_t *xz = ef_xz(text, sizeof text - 1, &n_xz);
    uint8_t *zstd = ef_zstd(text, sizeof text - 1, &n_zstd);
    expect(ef_write("p.txt.xz", xz, n_xz), NULL, "[first][second]");
    expect(ef_write("p.txt.zst", zstd, n_zstd), NULL, "[first][second]");
    refuse("cut.txt.xz", xz, n_xz - 9, NULL, "ends too early");
    free(xz);
    free(zstd);
}

static void test_lines(void **state)
{
    (void)state;
    static const char text[] =
        "{\"text\":\"a\\nb\\n\",\"body\":\"B\"}\n \n{\"text\":\"\",\"body\":\"C\"}\r\n"
        "{\"body\":\"<|endoftext|>\",\"text\":\"\\u3042\"}";
    const mn__documents_params body = {.field = "body"};
    size_t n_xz;
    uint8_t *xz = ef_xz(text, sizeof text - 1, &n_xz);
    expect(ef_write_text("l.jsonl", text), NULL, "[a\nb][\xE3\x81\x82]");
    expect(ef_write("l.jsonl.xz", xz, n_xz), &body, "[B][C][<|endoftext|>]");
    free(xz);
    REFUSE("r.jsonl", "{\"text\":\"a\"}\n{\"body\":1}\n",
           "line 2: a JSON object with a text under");
    REFUSE("r.jsonl", "{\"text\":1}", "something else under it found");
    REFUSE("r.jsonl", "\n\n{\"text\":", "line 3: a JSON object wanted");
    REFUSE("r.jsonl", "[]", "another value found");
    REFUSE("r.jsonl", "{\"text\":\"\\n\"}\n", "a text wanted, none found");
    const mn__documents_params small = {.line_bytes = 1 << 16};
    char *wide = malloc(1 << 18);
    assert_non_null(wide);
    memset(wide, ' ', 1 << 18);
    refuse("r.jsonl", wide, 1 << 18, &small, "line 1: at most 65536 bytes wanted");
    free(wide);
}

static void test_refused(void **state)
{
    (void)state;
    mn__documents *d;
    mn_diag diag = {""};
    const mn__documents_params tiny = {.part_bytes = 63};
    REFUSE("r.txt", "ab\n\xE3\x81\x82\xE3\x81 x", "line 2, byte 7: text in UTF-8 wanted, other");
    REFUSE("r.txt", "ab\n\xE3\x81", "line 2, byte 4: text in UTF-8 wanted, the file's end");
    REFUSE("r.txt", "ab\n\0", "line 2, byte 4: text in UTF-8 wanted, a NUL byte");
    REFUSE("r.jsonl", "{\"text\":\"\xff\"}", "line 1, byte 10: text in UTF-8");
    REFUSE("r.txt", "", "a text wanted, none found");
    REFUSE("r.txt", "\n\n<|endoftext|>\n\n", "a text wanted, none found");
    assert_int_equal(mn__documents_open(&d, NULL, 0, NULL, &diag), MN_EUSAGE);
    const char *path = "x";
    assert_int_equal(mn__documents_open(&d, &path, 1, &tiny, &diag), MN_EUSAGE);
    assert_null(d);
}

/* A long text with marks, in parts of every length: the same documents, none longer than said. */
static void test_parts(void **state)
{
    (void)state;
    static char text[20000], out[ROOM], want[ROOM], joined[ROOM];
    size_t n = 0;
    uint32_t x = 7;
    static const char *const words[] = {"word ",
                                        "\n",
                                        "\n\n",
                                        "\xE3\x81\x82",
                                        "w",
                                        "  ",
                                        "\n<|endoftext|>\n",
                                        "<|endoftext|>",
                                        "longer words and "};
    while (n < sizeof text - 64) {
        x = x * 1664525 + 1013904223;
        const char *word = words[(x >> 24) % 9];
        memcpy(text + n, word, strlen(word));
        n += strlen(word);
    }
    memcpy(text + n, "end", 3);
    const char *path = ef_write("parts.txt", text, n + 3);
    mn_diag diag = {""};
    assert_int_equal(read_all(&path, 1, NULL, want, &diag), MN_OK);
    size_t n_document = 0, n_cut = 0;
    for (const char *s = want; *s; s++) n_document += *s == ']';
    assert_true(n_document > 100);
    for (size_t part = 64; part < 400; part += 7) {
        const mn__documents_params p = {.part_bytes = part};
        assert_int_equal(read_all(&path, 1, &p, out, &diag), MN_OK);
        size_t m = 0, length = 0;
        for (const char *s = out; *s; s++) {
            bool edge = *s == '|' || *s == '[';
            n_cut += *s == '|' && s[1] != 'e' && s[1] != '>';
            if (*s == '|' && s[1] != 'e' && s[1] != '>')
                length = 0; /* no other bars stand in the text but those of marks */
            else
                joined[m++] = *s;
            length = edge ? 0 : length + 1;
            assert_true(length <= part + 1);
        }
        joined[m] = '\0';
        assert_string_equal(joined, want);
    }
    assert_true(n_cut > 100);
}

/* Where a part has to end inside a line, and where a read does. */
static void test_edges(void **state)
{
    (void)state;
    enum { READ = 1 << 16, PART = 64, BREAKS = 55 };
    static const char mark[] = "<|endoftext|>";
    static char text[READ + 64], out[ROOM], want[256];
    const mn__documents_params p = {.part_bytes = PART};
    mn_diag diag = {""};
    memset(text, 'a', PART);
    snprintf(text + PART, 64, "%s\nb", mark); /* no line of its own, though a part begins with it */
    snprintf(want, sizeof want, "[%.*s|%s\nb]", PART, text, mark);
    expect(ef_write_text("edge.txt", text), &p, want);
    for (size_t i = 0; i < 40; i++) memcpy(text + 3 * i, "\xE3\x81\x82", 4);
    snprintf(want, sizeof want, "[%.63s|%.57s]", text, text + 63);
    expect(ef_write_text("edge.txt", text), &p, want);
    /* The first read ends behind what would be a mark if the line ended there too. */
    memset(text, 'a', READ);
    for (size_t i = 40; i < READ - BREAKS - 50; i += 41) text[i] = ' ';
    memset(text + READ - BREAKS - (sizeof mark - 1), '\n', BREAKS);
    snprintf(text + READ - (sizeof mark - 1), 64, "%sx\nend", mark);
    const char *path = ef_write_text("edge.txt", text);
    assert_int_equal(read_all(&path, 1, &p, out, &diag), MN_OK);
    assert_true(out[strlen(out) - 1] == ']' && strchr(out, ']') == out + strlen(out) - 1);
}

static void test_files(void **state)
{
    (void)state;
    static char out[ROOM];
    char a[256];
    mn_diag diag = {""};
    snprintf(a, sizeof a, "%s", ef_write_text("f1.txt", "a\n"));
    const char *path[] = {a, ef_write_text("f2.jsonl", "{\"text\":\"b\"}\n"), a};
    assert_int_equal(read_all(path, 3, NULL, out, &diag), MN_OK);
    assert_string_equal(out, "[a][b][a]");
    path[2] = "nowhere.txt";
    assert_int_equal(read_all(path, 3, NULL, out, &diag), MN_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),   cmocka_unit_test(test_packed), cmocka_unit_test(test_lines),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_parts),  cmocka_unit_test(test_files),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
