/* morphemes.c: Japanese morphemes by MeCab with the dictionary of the system. */
#include "eval/words_internal.h"

#include "base/diag.h"

#ifdef MN_HAVE_MECAB

#include <mecab.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "text/unicode.h"

/* MeCab counts a morpheme's bytes, blanks in front included, in 16 bits, and adds up to 65534 a
 * morpheme in 31 bits: up to here neither runs over. */
enum { TEXT_MAX = 32767 };

struct mn__morphemes {
    mecab_model_t *model; /* read only: threads share it */
    mecab_t *tagger;
};

static bool is_utf8(const char *charset)
{
    static const char *const names[] = {"UTF-8", "UTF8", "utf-8", "utf8"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(charset, names[i]) == 0) return true;
    return false;
}

static mn_status open_model(mn__morphemes *m, const char *folder, mn_diag *diag)
{
    char *argv[] = {"mneme", "-d", (char *)(folder ? folder : ""), NULL};
    m->model = mecab_model_new(folder ? 3 : 1, argv);
    if (m->model) m->tagger = mecab_model_new_tagger(m->model);
    if (!m->tagger)
        return mn__fail(diag, MN_EINPUT,
                        "MeCab finds no dictionary%s%s: apt-get install mecab-ipadic-utf8",
                        folder ? " in " : "", folder ? folder : "");
    const mecab_dictionary_info_t *info = mecab_model_dictionary_info(m->model);
    if (!is_utf8(info->charset))
        return mn__fail(diag, MN_EINPUT,
                        "MeCab's dictionary %s is in %s, wanted UTF-8: "
                        "apt-get install mecab-ipadic-utf8",
                        info->filename, info->charset);
    return MN_OK;
}

mn_status mn__morphemes_open(mn__morphemes **out, const char *folder, mn_diag *diag)
{
    *out = NULL;
    mn__morphemes *m = mn__alloc_zero(MN_MEM_OTHER, sizeof *m);
    if (!m) return mn__fail(diag, MN_ENOMEM, "no memory for MeCab");
    mn_status st = open_model(m, folder, diag);
    if (st != MN_OK) {
        mn__morphemes_close(m);
        return st;
    }
    *out = m;
    return MN_OK;
}

void mn__morphemes_close(mn__morphemes *m)
{
    if (!m) return;
    if (m->tagger) mecab_destroy(m->tagger);
    if (m->model) mecab_model_destroy(m->model);
    mn__free(m);
}

/* NUL would end MeCab's text, so it becomes a space. */
static mn_status write_utf8(mn__scratch *s, mn__piece text, char **out, size_t *n)
{
    *out = mn__scratch_take(s, text.n, 4);
    *n = 0;
    if (!*out) return MN_ENOMEM;
    for (size_t i = 0; i < text.n; i++)
        *n += mn__unicode_write(text.c[i] ? text.c[i] : ' ', *out + *n);
    return MN_OK;
}

/* The morphemes of a lattice that was parsed. */
static mn_status read_nodes(mecab_lattice_t *lattice, mn__scratch *s, mn__pieces *out)
{
    const mecab_node_t *node = mecab_lattice_get_bos_node(lattice);
    for (; node; node = node->next) {
        if (node->length == 0) continue;
        if (mn__piece_read(s, node->surface, node->length, &out->p[out->n++]) != MN_OK)
            return MN_ENOMEM;
    }
    return MN_OK;
}

mn_status mn__morphemes_cut(const mn__morphemes *m, mn__scratch *s, mn__piece text, mn__pieces *out,
                            mn_diag *diag)
{
    char *bytes;
    size_t n;
    mn_status st = write_utf8(s, text, &bytes, &n);
    *out = (mn__pieces){mn__scratch_take(s, text.n, sizeof *out->p), 0};
    if (st != MN_OK || !out->p) return MN_ENOMEM;
    if (n == 0) return MN_OK;
    if (n > TEXT_MAX)
        return mn__fail(diag, MN_ERANGE, "a text of %zu bytes; at most %d are cut", n, TEXT_MAX);
    mecab_lattice_t *lattice = mecab_model_new_lattice(m->model);
    if (!lattice) return MN_ENOMEM;
    mecab_lattice_set_sentence2(lattice, bytes, n);
    if (mecab_parse_lattice(m->tagger, lattice)) {
        st = read_nodes(lattice, s, out);
    } else {
        st = mn__fail(diag, MN_EINPUT, "MeCab: %s", mecab_lattice_strerror(lattice));
    }
    mecab_lattice_destroy(lattice);
    return st;
}

#else

mn_status mn__morphemes_open(mn__morphemes **out, const char *folder, mn_diag *diag)
{
    (void)folder;
    *out = NULL;
    return mn__fail(diag, MN_EINPUT,
                    "this mneme was built without MeCab: apt-get install "
                    "libmecab-dev mecab-ipadic-utf8, and build again");
}

void mn__morphemes_close(mn__morphemes *m)
{
    (void)m;
}

mn_status mn__morphemes_cut(const mn__morphemes *m, mn__scratch *s, mn__piece text, mn__pieces *out,
                            mn_diag *diag)
{
    (void)m;
    (void)s;
    (void)text;
    (void)diag;
    *out = (mn__pieces){NULL, 0};
    return MN_EINPUT;
}

#endif
