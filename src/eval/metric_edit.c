/* metric_edit.c: how alike two lines of code are, as LongBench asks fuzzywuzzy 0.18:
 *     ratio = 2 M / (len(output) + len(answer)), rounded to whole percent, halves to even
 * where M counts the characters of matching blocks (difflib, which fuzzywuzzy falls back to) or of
 * the longest common subsequence (python-Levenshtein, when that is installed). */
#include "eval/metric_internal.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "eval/lcs.h"

enum { LINE_MAX = 16384, POPULAR_FROM = 200 };

/* The first line without `, # and //; none: "". */
static mn_status code_line(mn__scratch *s, mn__piece output, mn__piece *line)
{
    mn__pieces lines;
    while (output.n > 0 && output.c[0] == '\n') output = mn__piece_from(output, 1);
    mn_status st = mn__piece_split(s, output, '\n', &lines);
    if (st != MN_OK) return st;
    *line = mn__piece_part(output, 0, 0);
    for (size_t i = 0; i < lines.n; i++) {
        mn__piece p = lines.p[i];
        if (mn__piece_find_char(p, '`') != MN__NOWHERE) continue;
        if (mn__piece_find_char(p, '#') != MN__NOWHERE) continue;
        if (mn__piece_find_ascii(p, "//") != MN__NOWHERE) continue;
        *line = p;
        break;
    }
    return MN_OK;
}

/* difflib.SequenceMatcher: the longest block that both hold, then the same left and right of it. */
typedef struct matcher {
    mn__ids a, b;
    uint32_t *head, *next; /* positions in b of each id, ascending; UINT32_MAX ends */
    bool *popular;         /* [n_id] too frequent in a long b to begin a block */
    size_t *length[2];     /* [b.n + 1] of the block that ends at b[j - 1], this row and before */
} matcher;

typedef struct block {
    size_t a, b, n;
} block;

typedef struct span {
    size_t a_lo, a_hi, b_lo, b_hi;
} span;

static mn_status matcher_init(matcher *m, mn__scratch *s, size_t n_id)
{
    m->head = mn__scratch_take(s, n_id, sizeof *m->head);
    m->next = mn__scratch_take(s, m->b.n, sizeof *m->next);
    m->popular = mn__scratch_take(s, n_id, sizeof *m->popular);
    m->length[0] = mn__scratch_take(s, 2 * (m->b.n + 1), sizeof *m->length[0]);
    uint32_t *count = mn__scratch_take(s, n_id, sizeof *count);
    if (!m->head || !m->next || !m->popular || !m->length[0] || !count) return MN_ENOMEM;
    m->length[1] = m->length[0] + m->b.n + 1;
    memset(m->length[0], 0, 2 * (m->b.n + 1) * sizeof *m->length[0]);
    memset(m->head, 0xff, n_id * sizeof *m->head);
    memset(count, 0, n_id * sizeof *count);
    for (size_t j = m->b.n; j-- > 0;) {
        uint32_t id = m->b.id[j];
        m->next[j] = m->head[id];
        m->head[id] = (uint32_t)j;
        count[id]++;
    }
    for (size_t i = 0; i < n_id; i++)
        m->popular[i] = m->b.n >= POPULAR_FROM && count[i] > m->b.n / 100 + 1;
    return MN_OK;
}

/* Lengths of the blocks that end at a[i] and any b[j]; the longest so far, the first of equals. */
static void match_row(matcher *m, const span *in, size_t i, block *best)
{
    uint32_t id = m->a.id[i];
    const size_t *before = m->length[i % 2];
    size_t *now = m->length[(i + 1) % 2];
    if (m->popular[id]) return;
    for (uint32_t j = m->head[id]; j != UINT32_MAX && j < in->b_hi; j = m->next[j]) {
        if (j < in->b_lo) continue;
        size_t k = now[j + 1] = before[j] + 1; /* 0 before b_lo: nothing was written there */
        if (k > best->n) *best = (block){i + 1 - k, j + 1 - k, k};
    }
}

static void clear_row(matcher *m, const span *in, size_t i)
{
    size_t *row = m->length[(i + 1) % 2];
    for (uint32_t j = m->head[m->a.id[i]]; j != UINT32_MAX && j < in->b_hi; j = m->next[j])
        row[j + 1] = 0;
}

static block longest_block(matcher *m, const span *in)
{
    block best = {in->a_lo, in->b_lo, 0};
    for (size_t i = in->a_lo; i < in->a_hi; i++) {
        match_row(m, in, i, &best);
        if (i > in->a_lo) clear_row(m, in, i - 1);
    }
    if (in->a_hi > in->a_lo) clear_row(m, in, in->a_hi - 1);
    while (best.a > in->a_lo && best.b > in->b_lo &&
           m->a.id[best.a - 1] == m->b.id[best.b - 1]) { /* popular characters join a block */
        best.a--;
        best.b--;
        best.n++;
    }
    while (best.a + best.n < in->a_hi && best.b + best.n < in->b_hi &&
           m->a.id[best.a + best.n] == m->b.id[best.b + best.n])
        best.n++;
    return best;
}

/* M; todo [min(a.n, b.n) + 2] is scratch: a block leaves at most two spans, both shorter. */
static size_t matching(matcher *m, span *todo)
{
    size_t n_todo = 0, n_match = 0;
    todo[n_todo++] = (span){0, m->a.n, 0, m->b.n};
    while (n_todo > 0) {
        span in = todo[--n_todo];
        block best = longest_block(m, &in);
        if (best.n == 0) continue;
        n_match += best.n;
        if (in.a_lo < best.a && in.b_lo < best.b)
            todo[n_todo++] = (span){in.a_lo, best.a, in.b_lo, best.b};
        if (best.a + best.n < in.a_hi && best.b + best.n < in.b_hi)
            todo[n_todo++] = (span){best.a + best.n, in.a_hi, best.b + best.n, in.b_hi};
    }
    return n_match;
}

static mn_status match_blocks(mn__scratch *s, mn__ids a, mn__ids b, size_t n_id, size_t *n_match)
{
    matcher m = {.a = a, .b = b};
    size_t shorter = a.n < b.n ? a.n : b.n;
    span *todo = mn__scratch_take(s, shorter + 2, sizeof *todo);
    if (!todo || matcher_init(&m, s, n_id) != MN_OK) return MN_ENOMEM;
    *n_match = matching(&m, todo);
    return MN_OK;
}

static mn_status match_sequence(mn__scratch *s, mn__ids a, mn__ids b, size_t n_id, size_t *n_match)
{
    mn__lcs lcs;
    if (mn__lcs_init(&lcs, s, n_id, a.n, b.n) != MN_OK) return MN_ENOMEM;
    mn__lcs_set_b(&lcs, b);
    *n_match = mn__lcs_length(&lcs, a);
    return MN_OK;
}

static mn_status code_score(const mn__scoring *x, double *score,
                            mn_status (*match)(mn__scratch *s, mn__ids a, mn__ids b, size_t n_id,
                                               size_t *n_match))
{
    mn__piece line;
    mn__pieces chars[2];
    mn__ids a, b;
    size_t n_id, n_match;
    mn_status st = code_line(x->scratch, x->output, &line);
    if (st != MN_OK) return st;
    *score = mn__piece_equal(line, x->answer); /* two empty lines are equal, one is nothing */
    if (*score == 1.0 || line.n == 0 || x->answer.n == 0) return MN_OK;
    size_t longer = line.n > x->answer.n ? line.n : x->answer.n;
    if (longer > LINE_MAX)
        return mn__fail(x->diag, MN_ERANGE, "a line of %zu characters; at most %d are compared",
                        longer, LINE_MAX);
    if (mn__piece_chars(x->scratch, line, &chars[0]) != MN_OK ||
        mn__piece_chars(x->scratch, x->answer, &chars[1]) != MN_OK ||
        mn__ids_of(x->scratch, &chars[0], &chars[1], &a, &b, &n_id) != MN_OK)
        return MN_ENOMEM;
    if ((st = match(x->scratch, a, b, n_id, &n_match)) != MN_OK) return st;
    double ratio = 2.0 * (double)n_match / (double)(a.n + b.n);
    *score = rint(100 * ratio) / 100;
    return MN_OK;
}

mn_status mn__score_code_sim(const mn__scoring *x, double *score)
{
    return code_score(x, score, match_blocks);
}

mn_status mn__score_code_sim_lev(const mn__scoring *x, double *score)
{
    return code_score(x, score, match_sequence);
}
