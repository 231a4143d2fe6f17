/* words.c: which cutter. */
#include "eval/words.h"

#include "base/diag.h"
#include "base/heap.h"
#include "eval/words_internal.h"

struct mn__words {
    mn__jieba *jieba; /* one of the two */
    mn__morphemes *morphemes;
};

mn_status mn__words_open(mn__words **out, mn__words_kind kind, const char *folder, mn_diag *diag)
{
    mn_status st;
    *out = NULL;
    mn__words *w = mn__alloc_zero(MN_MEM_OTHER, sizeof *w);
    if (!w) return mn__fail(diag, MN_ENOMEM, "no memory for a dictionary");
    if (kind == MN__WORDS_ZH) {
        st = mn__jieba_open(&w->jieba, folder, diag);
    } else {
        st = mn__morphemes_open(&w->morphemes, folder, diag);
    }
    if (st != MN_OK) {
        mn__words_close(w);
        return st;
    }
    *out = w;
    return MN_OK;
}

void mn__words_close(mn__words *w)
{
    if (!w) return;
    mn__jieba_close(w->jieba);
    mn__morphemes_close(w->morphemes);
    mn__free(w);
}

mn_status mn__words_cut(const mn__words *w, mn__scratch *s, mn__piece text, mn__pieces *out,
                        mn_diag *diag)
{
    if (w->jieba) return mn__jieba_cut(w->jieba, s, text, out);
    return mn__morphemes_cut(w->morphemes, s, text, out, diag);
}
