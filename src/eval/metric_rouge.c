/* metric_rouge.c: two ROUGE-L that differ in nearly everything.
 *
 * rouge 1.0.1 (LongBench): sentences end at each '.', words at spaces, case and punctuation stay.
 * For each pair of sentences one longest common subsequence is taken; with U the set of all words
 * in these, m and n the numbers of different words in answer and output:
 *     r = |U| / m   p = |U| / n   F = 2 p r / (p + r + 1e-8)
 * rouge_score 0.1.2 (InfiniteBench): lines are sentences, words are runs of a-z and 0-9 in lower
 * case. For each sentence of the answer the places of its words in any of its subsequences are
 * united, and each word counts no more often than the output holds it: hits.
 *     r = hits / words of the answer   p = hits / words of the output   F = 2 p r / (p + r) */
#include "eval/metric_internal.h"

#include <string.h>

#include "base/diag.h"
#include "eval/lcs.h"

/* A text as sentences of words: sentence i is words[start[i] .. start[i + 1]). */
typedef struct rouge_text {
    mn__pieces words;
    size_t *start;
    size_t n_sentence;
} rouge_text;

typedef struct rouge_pair {
    mn__ids output, answer;
    size_t n_id;
    mn__lcs lcs;
    bool *in; /* [answer.n] of a subsequence */
} rouge_pair;

static mn_status text_init(mn__scratch *s, rouge_text *t, size_t n_sentence, size_t n_char)
{
    *t = (rouge_text){.start = mn__scratch_take(s, n_sentence + 1, sizeof *t->start)};
    t->words.p = mn__scratch_take(s, n_char + n_sentence, sizeof *t->words.p);
    if (!t->start || !t->words.p) return MN_ENOMEM;
    t->start[0] = 0;
    return MN_OK;
}

static mn_status text_add(mn__scratch *s, rouge_text *t, mn__piece sentence,
                          mn_status (*cut)(mn__scratch *s, mn__piece p, mn__pieces *out))
{
    mn__pieces words;
    mn_status st = cut(s, sentence, &words);
    if (st != MN_OK) return st;
    for (size_t i = 0; i < words.n; i++) t->words.p[t->words.n++] = words.p[i];
    t->start[++t->n_sentence] = t->words.n;
    return MN_OK;
}

/* A sentence of spaces alone is one empty word: "".split(" ") in Python. */
static mn_status cut_at_spaces(mn__scratch *s, mn__piece p, mn__pieces *out)
{
    mn_status st = mn__piece_words(s, p, out);
    if (st != MN_OK || out->n > 0) return st;
    *out = (mn__pieces){mn__scratch_take(s, 1, sizeof *out->p), 1};
    if (!out->p) return MN_ENOMEM;
    out->p[0] = mn__piece_part(p, 0, 0);
    return MN_OK;
}

static bool is_plain(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || mn__is_ascii_digit(c);
}

static mn_status cut_plain(mn__scratch *s, mn__piece p, mn__pieces *out)
{
    return mn__piece_runs(s, p, is_plain, out);
}

static mn_status read_text(mn__scratch *s, mn__piece p, uint32_t end_of_sentence,
                           mn_status (*cut)(mn__scratch *s, mn__piece p, mn__pieces *out),
                           rouge_text *t)
{
    mn__pieces parts;
    mn_status st = mn__piece_split(s, p, end_of_sentence, &parts);
    if (st == MN_OK) st = text_init(s, t, parts.n, p.n);
    for (size_t i = 0; st == MN_OK && i < parts.n; i++)
        if (parts.p[i].n > 0) st = text_add(s, t, parts.p[i], cut);
    return st;
}

static mn_status pair_init(const mn__scoring *x, rouge_pair *pair, const rouge_text *output,
                           const rouge_text *answer)
{
    mn__scratch *s = x->scratch;
    size_t n = output->words.n > answer->words.n ? output->words.n : answer->words.n;
    if (n > MN__LCS_MAX)
        return mn__fail(x->diag, MN_ERANGE, "a text of %zu words; at most %d are compared", n,
                        MN__LCS_MAX);
    if (mn__ids_of(s, &output->words, &answer->words, &pair->output, &pair->answer, &pair->n_id) !=
        MN_OK)
        return MN_ENOMEM;
    pair->in = mn__scratch_take(s, pair->answer.n, sizeof *pair->in);
    if (!pair->in) return MN_ENOMEM;
    return mn__lcs_init(&pair->lcs, s, pair->n_id, pair->answer.n, pair->output.n);
}

static mn__ids sentence(const mn__ids *ids, const rouge_text *t, size_t i)
{
    return (mn__ids){ids->id + t->start[i], t->start[i + 1] - t->start[i]};
}

static size_t count_true(const bool *flags, size_t n)
{
    size_t n_true = 0;
    for (size_t i = 0; i < n; i++) n_true += flags[i];
    return n_true;
}

/* How many different ids; seen [n_id] is scratch. */
static size_t count_different(mn__ids ids, bool *seen, size_t n_id)
{
    memset(seen, 0, n_id * sizeof *seen);
    for (size_t i = 0; i < ids.n; i++) seen[ids.id[i]] = true;
    return count_true(seen, n_id);
}

static bool all_in(mn__ids ids, const bool *in_union)
{
    for (size_t i = 0; i < ids.n; i++)
        if (!in_union[ids.id[i]]) return false;
    return true;
}

/* |U|: every subsequence of a sentence of the answer and one of the output. */
static size_t union_words(rouge_pair *pair, const rouge_text *output, const rouge_text *answer,
                          bool *in_union)
{
    memset(in_union, 0, pair->n_id * sizeof *in_union);
    for (size_t k = 0; k < output->n_sentence; k++) {
        mn__lcs_set_b(&pair->lcs, sentence(&pair->output, output, k));
        for (size_t i = 0; i < answer->n_sentence; i++) {
            mn__ids a = sentence(&pair->answer, answer, i);
            if (all_in(a, in_union)) continue; /* it has no word to add */
            memset(pair->in, 0, a.n * sizeof *pair->in);
            mn__lcs_trace(&pair->lcs, a, MN__LCS_BACK_IN_B, pair->in);
            for (size_t w = 0; w < a.n; w++)
                if (pair->in[w]) in_union[a.id[w]] = true;
        }
    }
    return count_true(in_union, pair->n_id);
}

static mn_status rouge(const mn__scoring *x, mn__piece output, mn__piece answer, double *score)
{
    rouge_text o, a;
    rouge_pair pair;
    mn_status st = read_text(x->scratch, output, '.', cut_at_spaces, &o);
    if (st == MN_OK) st = read_text(x->scratch, answer, '.', cut_at_spaces, &a);
    if (st != MN_OK) return st;
    *score = 0.0; /* the package raises on a text without a sentence, the script then says 0 */
    if (o.n_sentence == 0 || a.n_sentence == 0) return MN_OK;
    if ((st = pair_init(x, &pair, &o, &a)) != MN_OK) return st;
    bool *seen = mn__scratch_take(x->scratch, pair.n_id, sizeof *seen);
    if (!seen) return MN_ENOMEM;
    size_t n = count_different(pair.output, seen, pair.n_id);
    size_t m = count_different(pair.answer, seen, pair.n_id);
    double both = (double)union_words(&pair, &o, &a, seen);
    double r = both / (double)m, p = both / (double)n;
    *score = 2.0 * (p * r / (p + r + 1e-8));
    return MN_OK;
}

mn_status mn__score_rouge_l(const mn__scoring *x, double *score)
{
    return rouge(x, x->output, x->answer, score);
}

mn_status mn__score_rouge_l_words(const mn__scoring *x, double *score)
{
    mn_status st;
    mn__piece text[2] = {x->output, x->answer};
    mn__pieces words;
    for (size_t i = 0; i < 2; i++) {
        st = mn__words_cut(x->words, x->scratch, text[i], &words, x->diag);
        if (st != MN_OK) return st;
        if ((st = mn__piece_join(x->scratch, &words, &text[i])) != MN_OK) return st;
    }
    return rouge(x, text[0], text[1], score);
}

mn_status mn__score_rouge_l_chars(const mn__scoring *x, double *score)
{
    mn_status st;
    mn__piece text[2] = {x->output, x->answer};
    mn__pieces chars;
    for (size_t i = 0; i < 2; i++) {
        if ((st = mn__piece_chars(x->scratch, text[i], &chars)) != MN_OK) return st;
        if ((st = mn__piece_join(x->scratch, &chars, &text[i])) != MN_OK) return st;
    }
    return rouge(x, text[0], text[1], score);
}

/* Hits of a sentence of the answer: its places in a subsequence with any sentence of the output, as
 * long as the output has that word left. */
static size_t sentence_hits(rouge_pair *pair, const rouge_text *output, mn__ids a, size_t *left)
{
    size_t hits = 0;
    memset(pair->in, 0, a.n * sizeof *pair->in);
    for (size_t k = 0; k < output->n_sentence; k++) {
        mn__lcs_set_b(&pair->lcs, sentence(&pair->output, output, k));
        mn__lcs_trace(&pair->lcs, a, MN__LCS_BACK_IN_A, pair->in);
    }
    for (size_t w = 0; w < a.n; w++) {
        if (!pair->in[w] || left[a.id[w]] == 0) continue;
        left[a.id[w]]--;
        hits++;
    }
    return hits;
}

static mn_status lsum(const mn__scoring *x, const rouge_text *o, const rouge_text *a, double *score)
{
    rouge_pair pair;
    mn_status st = pair_init(x, &pair, o, a);
    if (st != MN_OK) return st;
    size_t *left = mn__scratch_take(x->scratch, pair.n_id, sizeof *left);
    if (!left) return MN_ENOMEM;
    memset(left, 0, pair.n_id * sizeof *left);
    for (size_t i = 0; i < pair.output.n; i++) left[pair.output.id[i]]++;
    size_t hits = 0;
    for (size_t i = 0; i < a->n_sentence; i++)
        hits += sentence_hits(&pair, o, sentence(&pair.answer, a, i), left);
    double r = (double)hits / (double)pair.answer.n, p = (double)hits / (double)pair.output.n;
    *score = hits == 0 ? 0.0 : 2 * p * r / (p + r);
    return MN_OK;
}

mn_status mn__score_rouge_lsum(const mn__scoring *x, double *score)
{
    mn__piece text[2] = {x->output, x->answer};
    rouge_text t[2];
    for (size_t i = 0; i < 2; i++) {
        mn_status st = mn__piece_lower(x->scratch, text[i], &text[i]);
        if (st == MN_OK) st = read_text(x->scratch, text[i], '\n', cut_plain, &t[i]);
        if (st != MN_OK) return st;
    }
    *score = 0.0;
    if (t[0].words.n == 0 || t[1].words.n == 0) return MN_OK;
    return lsum(x, &t[0], &t[1], score);
}
