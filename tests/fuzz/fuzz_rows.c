/* fuzz_rows.c: any bytes at all as one line of a set and as a whole set, packed or not. A line is
 * refused with a sentence that begins with its place, or every text of the row stays inside its
 * block. Runs under libFuzzer, or by replay.c over the corpus. */
#include "eval/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mneme/mem.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Survives NDEBUG: a finding must stop the fuzzer. */
static void check(int holds)
{
    if (!holds) abort();
}

static size_t held(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s.now[MN_MEM_OTHER];
}

static size_t look_at_text(const char *s)
{
    size_t n = strlen(s);
    check(mn__utf8_count_broken(s, n) == 0);
    return n;
}

static size_t look_at_texts(const char *const *list, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += look_at_text(list[i]);
    return bytes;
}

/* Returns the bytes of its texts. */
static size_t look_at_row(const mn__row *row)
{
    check(row->block != NULL);
    check(row->n_choice ? row->gold < row->n_choice : row->n_answer > 0);
    check(isnan(row->depth) || isfinite(row->depth));
    return look_at_text(row->context) + look_at_text(row->input) + look_at_text(row->id) +
           look_at_text(row->dataset) + look_at_text(row->language) +
           look_at_texts(row->answers, row->n_answer) + look_at_texts(row->classes, row->n_class) +
           look_at_texts(row->contexts, row->n_choice) +
           look_at_texts(row->continuations, row->n_choice);
}

static void read_line(const char *line, size_t n)
{
    mn__row row = {0}, copy = {0};
    mn_diag diag = {""};
    mn_status st = mn__row_parse(&row, line, n, "here:1", &diag);
    if (st != MN_OK) {
        check(st == MN_EINPUT && !row.block && strncmp(diag.text, "here:1: ", 8) == 0);
        return;
    }
    size_t bytes = look_at_row(&row);
    check(mn__row_copy(&copy, &row, &diag) == MN_OK && look_at_row(&copy) == bytes);
    mn__row_free(&copy);
    mn__row_free(&row);
}

/* Small limits, so that small inputs meet them. */
static void read_set(const char *path, bool skip_bad)
{
    const mn__rows_params params = {.skip_bad = skip_bad, .max_line = 300, .max_bytes = 1 << 16};
    mn__rows *r = NULL;
    mn__row row;
    mn_diag diag = {""};
    bool found = true;
    uint64_t line = 0;
    if (mn__rows_open(&r, path, &params, &diag) != MN_OK) {
        check(!r && diag.text[0]);
        return;
    }
    while (found) {
        mn_status st = mn__rows_next(r, &row, &found, &diag);
        check(st == MN_OK || (!found && strncmp(diag.text, path, strlen(path)) == 0));
        if (!found) break;
        check(row.line > line);
        line = row.line;
        look_at_row(&row);
        mn__row_free(&row);
    }
    check((mn__rows_n_bad(r) > 0) == (mn__rows_first_bad(r)[0] != '\0'));
    check(skip_bad || mn__rows_n_bad(r) == 0);
    mn__rows_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("rows", MFD_CLOEXEC);
        check(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    size_t before = held();
    read_line((const char *)data, size);
    check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    read_set(path, false);
    read_set(path, true);
    check(held() == before);
    return 0;
}
