/* ruler_chain.c: vt, a chain of variables that get one value, one from the other, between lines of
 * noise; before it a short solved one. Deviation: the solved one always has 10 lines of noise. */
#include <math.h>
#include <stdio.h>

#include "eval/tasks/ruler.h"

enum { N_VARIABLE = 5, N_EXAMPLE_NOISE = 10, N_LETTER = 5, N_EXAMPLE_LETTER = 3 };
/* The example's streams lie behind the row's own. */
enum { STREAM_NAME = MN__STREAM_OWN, STREAM_VALUE, STREAM_PLACE, N_STREAM };

#define ASK   "Find all variables that are assigned the value %u in the text above."
#define BEGIN "Memorize and track the chain(s) of variable assignment hidden in the following text."
#define CONCLUDE                                                                               \
    "Answer: According to the chain(s) of variable assignment in the text above, 5 variables " \
    "are assigned this value, they are: "

typedef struct chain {
    uint32_t stream; /* 0, or N_STREAM for the example */
    size_t n_letter;
    unsigned value;
    char name[N_VARIABLE][N_LETTER + 1];
} chain;

/* Different names: the first letter of each is drawn from a fifth of the letters of its own. */
static void draw_chain(const mn__recipe *r, chain *c)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXY";
    size_t order[N_VARIABLE];
    mn__draw_order(r, c->stream + STREAM_NAME, order, N_VARIABLE);
    for (size_t i = 0; i < N_VARIABLE; i++) {
        for (size_t k = 0; k < c->n_letter; k++) {
            uint64_t at = 8 + i * N_LETTER + k; /* behind the order's */
            c->name[i][k] = (char)('A' + mn__draw_below(r, c->stream + STREAM_NAME, at, 26));
        }
        size_t fifth = (size_t)mn__draw_below(r, c->stream + STREAM_NAME, 64 + i, 5);
        c->name[i][0] = first[5 * order[i] + fifth];
        c->name[i][c->n_letter] = '\0';
    }
    c->value = (unsigned)mn__draw_below(r, c->stream + STREAM_VALUE, 0, 89999) + 10000;
}

static void say_link(const chain *c, size_t i, mn__draft *out)
{
    if (i == 0)
        mn__draft_fmt(out, "VAR %s = %u\n", c->name[0], c->value);
    else
        mn__draft_fmt(out, "VAR %s = VAR %s\n", c->name[i], c->name[i - 1]);
}

/* Links keep their order between n lines of noise. Returns the first one's depth. */
static double write_chain(const mn__recipe *r, const chain *c, size_t n, mn__draft *out)
{
    size_t place[N_VARIABLE], k = 0;
    mn__draw_places(r, c->stream + STREAM_PLACE, place, N_VARIABLE, n + N_VARIABLE);
    for (size_t i = 0; i < n + N_VARIABLE; i++) {
        if (k < N_VARIABLE && place[k] == i)
            say_link(c, k++, out);
        else
            mn__draft_fmt(out, "%s\n", mn__noise);
    }
    return (double)place[0] / (double)(n + N_VARIABLE);
}

static mn_status write(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    chain example = {.stream = N_STREAM, .n_letter = N_EXAMPLE_LETTER};
    chain own = {.n_letter = N_LETTER};
    (void)diag;
    draw_chain(r, &example);
    draw_chain(r, &own);
    write_chain(r, &example, N_EXAMPLE_NOISE, &out->context);
    mn__draft_fmt(&out->context, "Question: " ASK " " CONCLUDE, example.value);
    for (size_t i = 0; i < N_VARIABLE; i++) mn__draft_fmt(&out->context, " %s", example.name[i]);
    mn__draft_str(&out->context, "\n\n" BEGIN "\n\n");
    out->depth = write_chain(r, &own, n, &out->context);
    mn__draft_fmt(&out->input, ASK, own.value);
    for (size_t i = 0; i < N_VARIABLE; i++) mn__made_answer(out, own.name[i]);
    return MN_OK;
}

const mn__maker mn__ruler_chain = {.write = write};
