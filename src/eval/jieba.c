/* jieba.c: Chinese words as jieba 0.42.1 cuts them (its default: dictionary, then model), which is
 * what LongBench counts. Its data comes from the Debian package python3-jieba.
 *
 * A text falls into blocks of Han characters, ASCII letters, digits and +#&._%-; each other
 * character is a word. In a block the words of the dictionary make a graph; the path with the
 * greatest sum of log(frequency / total) wins, of equals the longer first word. Runs of words of
 * one character that are no word of the dictionary themselves are cut again by the model. */
#include "eval/words_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "text/unicode.h"

#define JIEBA_FOLDER "/usr/lib/python3/dist-packages/jieba"

struct mn__jieba {
    mn__jieba_dict *dict;
    mn__jieba_model *model;
};

/* The best way from a character to the end of its block. */
typedef struct route {
    double score;
    size_t next; /* where its first word ends */
} route;

static bool is_han(uint32_t c)
{
    return c >= 0x4e00 && c <= 0x9fd5;
}

static bool is_ascii_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_ascii_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static bool in_block(uint32_t c)
{
    return is_han(c) || is_ascii_letter(c) || is_ascii_digit(c) ||
           (c && c < 0x80 && strchr("+#&._%-", (int)c));
}

static mn_status open_parts(mn__jieba *j, const char *folder, mn_diag *diag)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/dict.txt", folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return mn__fail(diag, MN_EINPUT, "the folder's name is too long");
    mn_status st = mn__jieba_dict_open(&j->dict, path, diag);
    return st == MN_OK ? mn__jieba_model_open(&j->model, folder, diag) : st;
}

mn_status mn__jieba_open(mn__jieba **out, const char *folder, mn_diag *diag)
{
    *out = NULL;
    mn__jieba *j = mn__alloc_zero(MN_MEM_OTHER, sizeof *j);
    if (!j) return mn__fail(diag, MN_ENOMEM, "no memory for jieba's dictionary");
    mn_status st = open_parts(j, folder ? folder : JIEBA_FOLDER, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "jieba's data is wanted (apt-get install python3-jieba; qa_f1_chars "
                              "and rouge_l_chars do without it)");
        mn__jieba_close(j);
        return st == MN_EIO ? MN_EINPUT : st;
    }
    *out = j;
    return MN_OK;
}

void mn__jieba_close(mn__jieba *j)
{
    if (!j) return;
    mn__jieba_dict_close(j->dict);
    mn__jieba_model_close(j->model);
    mn__free(j);
}

/* Is the whole piece a word of the dictionary? */
static bool is_word(const mn__jieba *j, mn__piece p)
{
    mn__jieba_range range = mn__jieba_dict_all(j->dict);
    uint32_t freq = 0;
    for (size_t i = 0; i < p.n; i++)
        if (!mn__jieba_dict_step(j->dict, &range, p.c[i], &freq)) return false;
    return freq > 0;
}

/* routes [p.n + 1], from the end on. A character that no word begins with stands alone, once. */
static void find_routes(const mn__jieba *j, mn__piece p, route *routes)
{
    double log_total = mn__jieba_dict_log_total(j->dict);
    routes[p.n] = (route){0, p.n};
    for (size_t k = p.n; k-- > 0;) {
        mn__jieba_range range = mn__jieba_dict_all(j->dict);
        uint32_t freq;
        bool found = false;
        for (size_t i = k; i < p.n; i++) {
            if (!mn__jieba_dict_step(j->dict, &range, p.c[i], &freq)) break;
            if (freq == 0) continue;
            double score = log(freq) - log_total + routes[i + 1].score;
            if (!found || score >= routes[k].score) routes[k] = (route){score, i + 1};
            found = true;
        }
        if (!found) routes[k] = (route){log(1) - log_total + routes[k + 1].score, k + 1};
    }
}

static size_t run_length(mn__piece p, size_t begin, bool (*inside)(uint32_t c))
{
    size_t n = 0;
    while (begin + n < p.n && inside(p.c[begin + n])) n++;
    return n;
}

static bool is_letter_or_digit(uint32_t c)
{
    return is_ascii_letter(c) || is_ascii_digit(c);
}

/* How long letters and digits with a decimal part and a percent sign are: [a-zA-Z0-9]+(\.\d+)?%? */
static size_t latin_length(mn__piece p, size_t begin)
{
    size_t n = run_length(p, begin, is_letter_or_digit);
    if (n > 0 && begin + n < p.n && p.c[begin + n] == '.') {
        size_t n_digit = run_length(p, begin + n + 1, mn__unicode_is_digit);
        if (n_digit > 0) n += 1 + n_digit;
    }
    if (n > 0 && begin + n < p.n && p.c[begin + n] == '%') n++;
    return n;
}

/* A run that no word of the dictionary covers: Han by the model; of the rest letters and digits are
 * words, and so is what stands between them. */
static mn_status cut_unknown(const mn__jieba *j, mn__scratch *s, mn__piece p, mn__pieces *out)
{
    for (size_t i = 0; i < p.n;) {
        size_t begin = i, n_han = run_length(p, i, is_han), n_latin = latin_length(p, i);
        if (n_han > 0) {
            mn_status st = mn__jieba_model_cut(j->model, s, mn__piece_part(p, i, i + n_han), out);
            if (st != MN_OK) return st;
            i += n_han;
            continue;
        }
        i += n_latin;
        while (n_latin == 0 && i < p.n && !is_han(p.c[i]) && latin_length(p, i) == 0) i++;
        out->p[out->n++] = mn__piece_part(p, begin, i);
    }
    return MN_OK;
}

/* A run of words of one character. */
static mn_status cut_singles(const mn__jieba *j, mn__scratch *s, mn__piece p, mn__pieces *out)
{
    if (p.n > 1 && !is_word(j, p)) return cut_unknown(j, s, p, out);
    for (size_t i = 0; i < p.n; i++) out->p[out->n++] = mn__piece_part(p, i, i + 1);
    return MN_OK;
}

static mn_status cut_block(const mn__jieba *j, mn__scratch *s, mn__piece p, mn__pieces *out)
{
    route *routes = mn__scratch_take(s, p.n + 1, sizeof *routes);
    if (!routes) return MN_ENOMEM;
    find_routes(j, p, routes);
    for (size_t i = 0, singles; i < p.n;) {
        for (singles = i; singles < p.n && routes[singles].next == singles + 1;) singles++;
        if (singles > i) {
            mn_status st = cut_singles(j, s, mn__piece_part(p, i, singles), out);
            if (st != MN_OK) return st;
            i = singles;
            continue;
        }
        out->p[out->n++] = mn__piece_part(p, i, routes[i].next);
        i = routes[i].next;
    }
    return MN_OK;
}

mn_status mn__jieba_cut(const mn__jieba *j, mn__scratch *s, mn__piece text, mn__pieces *out)
{
    *out = (mn__pieces){mn__scratch_take(s, text.n, sizeof *out->p), 0};
    if (!out->p) return MN_ENOMEM;
    for (size_t i = 0; i < text.n;) {
        size_t n = run_length(text, i, in_block);
        if (n > 0) {
            mn_status st = cut_block(j, s, mn__piece_part(text, i, i + n), out);
            if (st != MN_OK) return st;
            i += n;
            continue;
        }
        n = text.c[i] == '\r' && i + 1 < text.n && text.c[i + 1] == '\n' ? 2 : 1;
        out->p[out->n++] = mn__piece_part(text, i, i + n);
        i += n;
    }
    return MN_OK;
}
