/* jieba_model.c: jieba's finalseg, a hidden Markov model over four states of a character: it begins
 * a word, stands inside, ends one, is one. Its tables are read from the Python files that they are
 * published in: nested dictionaries of strings and numbers. The best path is Viterbi's, of equals
 * the state whose letter comes last. */
#include "eval/words_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"

enum { HAN_FIRST = 0x4e00, HAN_LAST = 0x9fd5, N_HAN = HAN_LAST - HAN_FIRST + 1 };
enum { STATE_B, STATE_E, STATE_M, STATE_S, N_STATE }; /* in the order of their letters */
enum { FILE_BYTES_MAX = 1 << 24 };
static const char letters[] = "BEMS";
#define IMPOSSIBLE (-3.14e100)

struct mn__jieba_model {
    double start[N_STATE], trans[N_STATE][N_STATE];
    double emit[N_STATE][N_HAN];
};

/* A Python literal while it is read. */
typedef struct literal {
    const char *at, *end, *path;
} literal;

static int state_of(uint32_t c)
{
    const char *found = c && c < 0x80 ? strchr(letters, (int)c) : NULL;
    return found ? (int)(found - letters) : -1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 'X' or '\u4e00', the quote in front gone. */
static bool read_key(literal *l, uint32_t *c)
{
    if (l->end - l->at >= 2 && l->at[0] != '\\' && l->at[1] == '\'') {
        *c = (unsigned char)l->at[0];
        l->at += 2;
        return true;
    }
    if (l->end - l->at < 7 || l->at[0] != '\\' || l->at[1] != 'u' || l->at[6] != '\'') return false;
    *c = 0;
    for (int i = 2; i < 6; i++) {
        if (hex_digit(l->at[i]) < 0) return false;
        *c = *c << 4 | (uint32_t)hex_digit(l->at[i]);
    }
    l->at += 7;
    return true;
}

/* -12.345 or -3.14e+100, whatever the locale says about dots. */
static bool read_number(literal *l, double *out)
{
    long double value = 0, scale = 1;
    bool dot = false, negative = l->at < l->end && *l->at == '-';
    const char *begin = l->at += negative;
    for (; l->at < l->end && ((*l->at >= '0' && *l->at <= '9') || (*l->at == '.' && !dot));
         l->at++) {
        if (*l->at == '.') {
            dot = true;
            continue;
        }
        value = 10 * value + (*l->at - '0');
        if (dot) scale *= 10;
    }
    if (l->at == begin) return false;
    *out = (double)(value / scale) * (negative ? -1 : 1);
    if (l->end - l->at >= 5 && strncmp(l->at, "e+100", 5) == 0) {
        *out = IMPOSSIBLE;
        l->at += 5;
    }
    return true;
}

static void skip_to_value(literal *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == ':')) l->at++;
}

typedef void put_fn(mn__jieba_model *m, int state, uint32_t key, double value);

static void put_start(mn__jieba_model *m, int state, uint32_t key, double value)
{
    (void)state;
    if (state_of(key) >= 0) m->start[state_of(key)] = value;
}

static void put_trans(mn__jieba_model *m, int state, uint32_t key, double value)
{
    if (state >= 0 && state_of(key) >= 0) m->trans[state][state_of(key)] = value;
}

static void put_emit(mn__jieba_model *m, int state, uint32_t key, double value)
{
    if (state >= 0 && key >= HAN_FIRST && key <= HAN_LAST) m->emit[state][key - HAN_FIRST] = value;
}

/* Everything behind "P=": 'key': number, and 'state': {...} around such pairs. */
static bool read_literal(mn__jieba_model *m, literal *l, put_fn *put, size_t *n_value)
{
    int state = -1;
    while (l->at + 1 < l->end && !(l->at[0] == 'P' && l->at[1] == '=')) l->at++;
    for (; l->at < l->end; l->at++) {
        uint32_t key;
        double value;
        if (*l->at != '\'') continue;
        l->at++;
        if (!read_key(l, &key)) return false;
        skip_to_value(l);
        if (l->at < l->end && *l->at == '{') {
            state = state_of(key);
            continue;
        }
        if (!read_number(l, &value)) return false;
        put(m, state, key, value);
        ++*n_value;
        l->at--;
    }
    return true;
}

static mn_status read_table(mn__jieba_model *m, const char *folder, const char *name, put_fn *put,
                            mn_diag *diag)
{
    char path[4096];
    mn__map file;
    size_t n_value = 0;
    int n = snprintf(path, sizeof path, "%s/finalseg/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return mn__fail(diag, MN_EINPUT, "the folder's name is too long");
    mn_status st = mn__map_open(&file, path, diag);
    if (st != MN_OK) return st;
    literal l = {(const char *)file.data, (const char *)file.data + file.size, path};
    if (file.size > FILE_BYTES_MAX || !read_literal(m, &l, put, &n_value) || n_value < N_STATE)
        st = mn__fail(diag, MN_EINPUT, "%s: a table of jieba 0.42 wanted", path);
    mn__map_close(&file);
    return st;
}

mn_status mn__jieba_model_open(mn__jieba_model **out, const char *folder, mn_diag *diag)
{
    mn_status st;
    mn__jieba_model *m = mn__alloc(MN_MEM_OTHER, sizeof *m);
    *out = NULL;
    if (!m) return mn__fail(diag, MN_ENOMEM, "no memory for jieba's model");
    for (int y = 0; y < N_STATE; y++) {
        m->start[y] = IMPOSSIBLE;
        for (int k = 0; k < N_STATE; k++) m->trans[y][k] = IMPOSSIBLE;
        for (int k = 0; k < N_HAN; k++) m->emit[y][k] = IMPOSSIBLE;
    }
    MN_TRY(read_table(m, folder, "prob_start.py", put_start, diag));
    MN_TRY(read_table(m, folder, "prob_trans.py", put_trans, diag));
    MN_TRY(read_table(m, folder, "prob_emit.py", put_emit, diag));
    *out = m;
    m = NULL;
done:
    mn__jieba_model_close(m);
    return st;
}

void mn__jieba_model_close(mn__jieba_model *m)
{
    mn__free(m);
}

/* What may stand before each state, the greater letter first: it wins a draw. */
static const int before[N_STATE][2] = {
    [STATE_B] = {STATE_S, STATE_E},
    [STATE_E] = {STATE_M, STATE_B},
    [STATE_M] = {STATE_M, STATE_B},
    [STATE_S] = {STATE_S, STATE_E},
};

/* States of n characters, the last first found: states [n], from [n][N_STATE] is scratch. */
static void viterbi(const mn__jieba_model *m, mn__piece p, uint8_t (*from)[N_STATE],
                    uint8_t *states)
{
    double now[N_STATE], then[N_STATE];
    for (int y = 0; y < N_STATE; y++) now[y] = m->start[y] + m->emit[y][p.c[0] - HAN_FIRST];
    for (size_t t = 1; t < p.n; t++) {
        memcpy(then, now, sizeof then);
        for (int y = 0; y < N_STATE; y++) {
            double emit = m->emit[y][p.c[t] - HAN_FIRST];
            double first = then[before[y][0]] + m->trans[before[y][0]][y] + emit;
            double second = then[before[y][1]] + m->trans[before[y][1]][y] + emit;
            from[t][y] = (uint8_t)before[y][second > first];
            now[y] = second > first ? second : first;
        }
    }
    uint8_t state = now[STATE_E] > now[STATE_S] ? STATE_E : STATE_S;
    for (size_t t = p.n; t-- > 0; state = from[t][state]) states[t] = state;
}

mn_status mn__jieba_model_cut(const mn__jieba_model *m, mn__scratch *s, mn__piece p,
                              mn__pieces *out)
{
    uint8_t(*from)[N_STATE] = mn__scratch_take(s, p.n, sizeof *from);
    uint8_t *states = mn__scratch_take(s, p.n, sizeof *states);
    if (!from || !states) return MN_ENOMEM;
    memset(from, 0, p.n * sizeof *from);
    viterbi(m, p, from, states);
    size_t begin = 0, done = 0;
    for (size_t i = 0; i < p.n; i++) {
        if (states[i] == STATE_B) begin = i;
        if (states[i] == STATE_S) begin = i;
        if (states[i] != STATE_E && states[i] != STATE_S) continue;
        out->p[out->n++] = mn__piece_part(p, begin, i + 1);
        done = i + 1;
    }
    if (done < p.n) out->p[out->n++] = mn__piece_from(p, done);
    return MN_OK;
}
