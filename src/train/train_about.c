/* train_about.c: train.ini, run.json. */
#include "train/train_about.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/file.h"

/* ---- train.ini ---- */

static void put_options(FILE *to, const mn__config *c)
{
    fprintf(to, "; Every option of this training, derived ones too (docs/training-options.md).\n");
    for (size_t i = 0; i < mn__config_count(); i++) {
        const mn__config_field *f = mn__config_at(i);
        char value[MN__CONFIG_TEXT];
        mn__config_value(c, f, value, sizeof value);
        if (f->kind == MN__CONFIG_IS_SECTION)
            fprintf(to, "\n[%s]\n", f->section);
        else
            fprintf(to, "%s = %s\n", f->key, value);
    }
}

mn_status mn__train_ini_write(const char *path, const mn__config *c, mn_diag *diag)
{
    mn__atomic file;
    const mn_status st = mn__atomic_open(&file, path, diag);
    if (st != MN_OK) return st;
    put_options(file.file, c);
    return mn__atomic_commit(&file, diag); /* also tells of writes that failed */
}

/* ---- run.json ---- */

static json_t *text(const char *x)
{
    json_t *s = json_string(x);
    return s ? s : json_string("(not UTF-8)");
}

static json_t *config_json(const mn__config *c)
{
    json_t *doc = json_object(), *section = NULL;
    for (size_t i = 0; i < mn__config_count(); i++) {
        const mn__config_field *f = mn__config_at(i);
        char value[MN__CONFIG_TEXT];
        if (f->kind == MN__CONFIG_IS_SECTION) {
            section = json_object();
            json_object_set_new(doc, f->section, section);
            continue;
        }
        mn__config_value(c, f, value, sizeof value);
        json_object_set_new(section, f->key, text(value));
    }
    return doc;
}

static json_t *side_json(const mn__data_side *side)
{
    return json_pack("{s:I,s:I,s:I}", "tokens", (json_int_t)side->n_token, "documents",
                     (json_int_t)side->n_document, "rows", (json_int_t)side->rows.n_window);
}

static json_t *data_json(const mn__train_data *d)
{
    char hash[20];
    snprintf(hash, sizeof hash, "%016" PRIx64, d->tokenizer.hash);
    return json_pack("{s:s,s:i,s:o,s:o}", "tokenizer", hash, "vocab", (int)d->tokenizer.n_token,
                     "train", side_json(&d->train), "valid",
                     d->valid.n ? side_json(&d->valid) : json_null());
}

static json_t *cost_json(const mn_cost *cost)
{
    const mn_cost_row all = mn_cost_total(cost->counted);
    return json_pack("{s:f,s:f,s:f,s:f,s:f}", "parameters", all.params, "active", all.active,
                     "forward_flops", cost->train_forward, "backward_flops", cost->train_backward,
                     "tape_bytes", cost->pass_bytes);
}

/* The starts that an earlier run.json tells of, and this one. */
static json_t *starts_json(const char *path, const mn__train_about *a)
{
    char now[32];
    time_t t = time(NULL);
    struct tm utc;
    json_t *before = json_load_file(path, 0, NULL);
    json_t *list = json_incref(json_object_get(before, "starts"));
    json_decref(before);
    if (!json_is_array(list)) {
        json_decref(list);
        list = json_array();
    }
    gmtime_r(&t, &utc);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_array_append_new(list, json_pack("{s:s,s:I,s:o,s:i,s:i,s:o}", "at", now, "step",
                                          (json_int_t)a->step, "commit", text(a->params->commit),
                                          "ranks", a->params->ranks.n > 1 ? a->params->ranks.n : 1,
                                          "threads", a->n_thread, "peak",
                                          a->peak > 0 ? json_real(a->peak) : json_null()));
    return list;
}

static mn_status write_json(const char *path, const json_t *doc, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__atomic file = {0};
    MN_TRY(mn__atomic_open(&file, path, diag));
    if (json_dumpf(doc, file.file, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) &&
        !ferror(file.file))
        MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path));
    fputc('\n', file.file);
    MN_TRY(mn__atomic_commit(&file, diag)); /* also tells of writes that failed */
done:
    mn__atomic_abort(&file);
    return st;
}

mn_status mn__train_about_write(const char *path, const mn__train_about *a, mn_diag *diag)
{
    mn_status st;
    const mn_train_params *p = a->params;
    json_t *doc = json_pack("{s:i,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "version", 1, "mneme",
                            mn_version(), "commit", text(p->commit), "compiler", text(p->compiler),
                            "cpu_level", text(p->cpu), "cpu", text(mn__cpu_model()), "data",
                            data_json(a->data), "cost", cost_json(a->cost), "config",
                            config_json(a->config), "starts", starts_json(path, a));
    if (!doc) return mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path);
    st = write_json(path, doc, diag);
    json_decref(doc);
    return st;
}

mn_status mn__train_about_sent(const char *path, const uint64_t bytes[MN__PEERS_KINDS],
                               mn_diag *diag)
{
    json_t *doc = json_load_file(path, 0, NULL), *starts = json_object_get(doc, "starts");
    json_t *last = json_array_get(starts, json_array_size(starts) - 1);
    mn_status st;
    json_object_set_new(last, "sent_bytes",
                        json_pack("{s:I,s:I,s:I,s:I}", "look_up",
                                  (json_int_t)bytes[MN__PEERS_LOOK_UP], "look_up_back",
                                  (json_int_t)bytes[MN__PEERS_LOOK_UP_BACK], "gradients",
                                  (json_int_t)bytes[MN__PEERS_GRADIENTS], "rest",
                                  (json_int_t)bytes[MN__PEERS_REST]));
    if (last)
        st = write_json(path, doc, diag);
    else
        st = mn__fail(diag, MN_EIO, "%s: the starts of this training wanted, none found", path);
    json_decref(doc);
    return st;
}
