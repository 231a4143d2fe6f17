/* ruler_words.c: cwe, a numbered list of words of which ten stand there more often, behind a short
 * solved one; and fwe, made-up words whose numbers fall as 1/rank^2, of which the three most
 * frequent behind "..." are asked for. Deviation: words of cwe come from the corpus, and when it
 * has no more, two words make one, so that there are enough for any length. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/tasks/ruler.h"

enum { STREAM_WORD = MN__STREAM_OWN, STREAM_LIST, STREAM_EXAMPLE };

/* ---- cwe ---- */

enum { N_COMMON = 10, MIN_LETTER = 4, MAX_LETTER = 10, SHORT_LENGTH = 4096 };
enum { WORD_BYTES = MN__PAIR_BYTES }; /* of the longest, made of two, and a NUL */

/* How often common and other words stand in the list and in the example, and how many words the
 * example has: RULER makes it easier for short prompts. */
typedef struct frequency {
    size_t common, other, example_common, example_other, example_words;
} frequency;

static frequency frequency_of(const mn__recipe *r)
{
    return r->length < SHORT_LENGTH ? (frequency){6, 1, 3, 1, 20} : (frequency){30, 3, 10, 3, 40};
}

/* Words, each once, in an order that the row draws: an open table from the word's first places on,
 * then a shuffle. */
typedef struct lexicon {
    const char **word; /* [n] into the corpus or `made`, ended by what is no small letter */
    char *made;        /* [(cap - n of the corpus) * WORD_BYTES], NULL: not needed */
    size_t *slot;      /* [n_slot] index + 1 of a word, 0: free */
    size_t *order;     /* [n] */
    size_t n, cap, n_slot;
} lexicon;

static size_t letters(const char *s)
{
    size_t n = 0;
    while (s[n] >= 'a' && s[n] <= 'z') n++;
    return n;
}

static size_t hash_word(const char *s, size_t n)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * UINT64_C(1099511628211);
    return (size_t)(h ^ h >> 32);
}

static void add_word(lexicon *l, const char *s, size_t n)
{
    size_t at = hash_word(s, n) % l->n_slot;
    for (; l->slot[at]; at = (at + 1) % l->n_slot) {
        const char *known = l->word[l->slot[at] - 1];
        if (letters(known) == n && memcmp(known, s, n) == 0) return;
    }
    if (l->n == l->cap) return;
    l->word[l->n++] = s;
    l->slot[at] = l->n;
}

static void free_lexicon(lexicon *l)
{
    mn__free(l->word);
    mn__free(l->made);
    mn__free(l->slot);
    mn__free(l->order);
}

static void read_words(const char *text, lexicon *l)
{
    for (const char *s = text; *s && l->n < l->cap; s++) {
        size_t n = letters(s);
        bool alone = (s == text || s[-1] == ' ') && (s[n] == ' ' || s[n] == ',' || s[n] == '.');
        if (alone && n >= MIN_LETTER && n <= MAX_LETTER) add_word(l, s, n);
        s += n ? n - 1 : 0;
    }
}

/* Pairs of words as one ("white-duck": whiteduck) until there are enough or no more pairs. */
static bool make_words(const mn__recipe *r, lexicon *l)
{
    size_t n_made = l->cap - l->n;
    l->made = mn__alloc_array(MN_MEM_OTHER, n_made, WORD_BYTES);
    if (!l->made) return false;
    char *at = l->made;
    for (uint64_t i = 0; l->n < l->cap && i < MN__N_PAIR; i++) {
        size_t n = l->n;
        mn__draw_pair(r, i, at);
        char *dash = strchr(at, '-');
        memmove(dash, dash + 1, strlen(dash));
        add_word(l, at, strlen(at));
        if (l->n > n) at += WORD_BYTES;
    }
    return true;
}

/* The first `cap` different words of the text that stand alone in small letters, and made ones
 * behind them. cap depends on the length alone: a row of one more word has the same words. */
static mn_status read_lexicon(const mn__recipe *r, size_t cap, lexicon *l, mn_diag *diag)
{
    bool enough = true;
    *l = (lexicon){.cap = cap, .n_slot = 2 * cap + 1};
    l->word = mn__alloc_array(MN_MEM_OTHER, cap, sizeof *l->word);
    l->order = mn__alloc_array(MN_MEM_OTHER, cap, sizeof *l->order);
    l->slot = mn__alloc_array(MN_MEM_OTHER, l->n_slot, sizeof *l->slot);
    if (l->word && l->order && l->slot) {
        memset(l->slot, 0, l->n_slot * sizeof *l->slot);
        read_words(r->text->text, l);
        if (l->n < cap) enough = make_words(r, l);
    }
    if (!l->word || !l->order || !l->slot || !enough)
        return mn__fail(diag, MN_ENOMEM, "task %s: no memory for %zu words", r->task->name, cap);
    mn__draw_order(r, STREAM_WORD, l->order, l->n);
    return MN_OK;
}

/* A list of n_word words from `from` on, the first N_COMMON of them the common ones. */
static mn_status write_list(const mn__recipe *r, const lexicon *l, size_t from, size_t n_word,
                            size_t n_times[2], mn__draft *out)
{
    size_t common = N_COMMON * n_times[0], n = common + (n_word - N_COMMON) * n_times[1];
    size_t *order = mn__alloc_array(MN_MEM_OTHER, n, sizeof *order);
    if (!order) return MN_ENOMEM;
    mn__draw_order(r, from ? STREAM_LIST : STREAM_EXAMPLE, order, n);
    for (size_t i = 0; i < n; i++) {
        size_t k =
            order[i] < common ? order[i] / n_times[0] : N_COMMON + (order[i] - common) / n_times[1];
        const char *word = l->word[l->order[from + k]];
        mn__draft_fmt(out, "%s%zu. %.*s", i ? " " : "", i + 1, (int)letters(word), word);
    }
    mn__free(order);
    return MN_OK;
}

static size_t most_words(const mn__recipe *r)
{
    return r->length / (2 * frequency_of(r).other); /* an entry has two tokens at least */
}

#define COMMON_ASK "What are the 10 most common words in the above list?"

static mn_status write_common(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    frequency f = frequency_of(r);
    size_t n_word = N_COMMON + n;
    char word[WORD_BYTES];
    lexicon l;
    mn_status st;
    MN_TRY(read_lexicon(r, f.example_words + N_COMMON + most_words(r), &l, diag));
    if (l.n < f.example_words + n_word) {
        st = mn__fail(diag, MN_EINPUT,
                      "task %s: %zu different words wanted for %zu tokens, %zu found",
                      r->task->name, f.example_words + n_word, r->length, l.n);
        goto done;
    }
    MN_TRY(write_list(r, &l, 0, f.example_words, (size_t[]){f.example_common, f.example_other},
                      &out->context));
    mn__draft_str(&out->context, "\nQuestion: " COMMON_ASK " Answer: The top 10 words that appear "
                                 "most often in the list are:");
    for (size_t i = 0; i < N_COMMON; i++) {
        const char *s = l.word[l.order[i]];
        mn__draft_fmt(&out->context, " %zu. %.*s", i + 1, (int)letters(s), s);
    }
    mn__draft_str(
        &out->context,
        "\nBelow is a numbered list of words. In these words, some appear more often than "
        "others. Memorize the ones that appear most often.\n");
    MN_TRY(
        write_list(r, &l, f.example_words, n_word, (size_t[]){f.common, f.other}, &out->context));
    mn__draft_str(&out->input, COMMON_ASK);
    for (size_t i = 0; i < N_COMMON; i++) {
        const char *s = l.word[l.order[f.example_words + i]];
        snprintf(word, sizeof word, "%.*s", (int)letters(s), s);
        mn__made_answer(out, word);
    }
done:
    free_lexicon(&l);
    return st;
}

/* ---- fwe ---- */

enum { N_ASKED = 3, WORD_LETTERS = 6, TOKENS_A_WORD = 50, LEAST_WORDS = 100 };

/* Different words: the rank stands in the first letters, turned by what the row draws. */
static void say_rank(const mn__recipe *r, size_t rank, char out[WORD_LETTERS + 1])
{
    size_t turn = (size_t)mn__draw_below(r, STREAM_WORD, 0, 26 * 26 * 26);
    size_t x = (rank * 4721 + turn) % (26 * 26 * 26); /* 4721 shares no factor with 26 */
    for (size_t k = 0; k < WORD_LETTERS; k++) {
        size_t letter = k < 3 ? x % 26 : (size_t)mn__draw_below(r, STREAM_WORD, 8 * rank + k, 26);
        out[k] = (char)('a' + letter);
        x /= k < 3 ? 26 : 1;
    }
    out[WORD_LETTERS] = '\0';
    if (rank == 0) snprintf(out, WORD_LETTERS + 1, "...");
}

static mn_status write_frequent(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    const double zeta = 1.6449340668482264; /* of 2: the sum of all 1/rank^2 */
    size_t n_rank = r->length / TOKENS_A_WORD, total = LEAST_WORDS + n, used = 0;
    char word[WORD_LETTERS + 1];
    if (n_rank < N_ASKED + 2) n_rank = N_ASKED + 2;
    if (n_rank > 17000) n_rank = 17000;
    size_t *rank = mn__alloc_array(MN_MEM_OTHER, total, sizeof *rank);
    size_t *order = mn__alloc_array(MN_MEM_OTHER, total, sizeof *order);
    if (!rank || !order) {
        mn__free(rank);
        mn__free(order);
        return mn__fail(diag, MN_ENOMEM, "task %s: no memory for %zu words", r->task->name, total);
    }
    for (size_t k = 0; k < n_rank; k++) {
        size_t times = (size_t)((double)total / ((double)(k + 1) * (double)(k + 1)) / zeta);
        while (times-- && used < total) rank[used++] = k;
    }
    mn__draw_order(r, STREAM_LIST, order, used);
    for (size_t i = 0; i < used; i++) {
        say_rank(r, rank[order[i]], word);
        mn__draft_fmt(&out->context, "%s%s", i ? " " : "", word);
    }
    for (size_t k = 1; k <= N_ASKED; k++) {
        say_rank(r, k, word);
        mn__made_answer(out, word);
    }
    mn__draft_str(&out->input, "Do not provide any explanation. Please ignore the dots '....'. "
                               "What are the three most frequently appeared words in the above "
                               "coded text?");
    mn__free(rank);
    mn__free(order);
    return MN_OK;
}

const mn__maker mn__ruler_common = {
    .text = "corpus/en-books.valid", .n_most = most_words, .write = write_common};
const mn__maker mn__ruler_frequent = {.write = write_frequent};
