/* tiny_checkpoint.c: a small model at its first values, written as a checkpoint. */
#include "tiny_checkpoint.h"

#include <stdio.h>
#include <sys/stat.h>

#include "train/checkpoint.h"
#include "unit/abc_vocab.h"

enum { PATH_BYTES = 512 };

static const char *const small[] = {"model.width=16",  "model.blocks=3",   "model.heads=2",
                                    "model.hidden=32", "model.context=64", "memory.keys=8",
                                    "memory.keep=4",   "lookup.bits=4",    "train.steps=1"};

static mn_status configure(mn__config *c, char *const *option, size_t n_option, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__config_init(c);
    c->model_vocab = ABC_N;
    for (size_t i = 0; i < sizeof small / sizeof *small && st == MN_OK; i++)
        st = mn__config_override(c, small[i], diag);
    for (size_t i = 0; i < n_option && st == MN_OK; i++)
        st = mn__config_override(c, option[i], diag);
    return st == MN_OK ? mn__config_check(c, diag) : st;
}

static mn_status write_checkpoint(const char *path, const mn__config *c, mn_diag *diag)
{
    static const mn__adamw_config adamw = {.beta1 = 0.9, .beta2 = 0.9};
    mn__learner *l;
    mn__adamw *o = NULL;
    mn_status st = mn__learner_new(&l, c, true, NULL, diag);
    if (st == MN_OK) st = mn__adamw_new(&o, &l->list, &adamw, diag);
    if (st == MN_OK) st = mn__checkpoint_save(path, l, o, NULL, 1, false, diag);
    mn__adamw_free(o);
    mn__learner_free(l);
    return st;
}

bool tiny_checkpoint_write(const char *folder, char *const *option, size_t n_option)
{
    char path[PATH_BYTES];
    mn_diag diag = {{0}};
    mn__config c;
    struct gguf_context *meta = abc_vocab_meta();
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/tokenizer.gguf", folder);
    bool ok = gguf_write_to_file(meta, path, true);
    gguf_free(meta);
    snprintf(path, sizeof path, "%s/checkpoint.gguf", folder);
    ok = ok && configure(&c, option, n_option, &diag) == MN_OK &&
         write_checkpoint(path, &c, &diag) == MN_OK;
    if (!ok) fprintf(stderr, "mneme-tiny: %s: %s\n", folder, diag.text);
    return ok;
}
