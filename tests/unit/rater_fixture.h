/* rater_fixture.h: a tiny model, a file of questions and a NAMM, for tests of src/evolve. */
#ifndef RATER_FIXTURE_H
#define RATER_FIXTURE_H

#include "base/heap.h"
#include "eval/deck.h"
#include "evolve/shape.h"
#include "session_fixture.h"

enum { EV_PROMPTS = 4, EV_CTX = 900 };

typedef struct ev_fixture {
    mn_model *m;
    mn__own_task own;
    mn__task_ref ref;
    const char *rows;
    char policy[600], file[500];
    size_t n_param, n_in;
    mn__namm *namm;
} ev_fixture;

static inline void ev_write_rows(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int row = 0; row < EV_PROMPTS; row++) {
        fprintf(file, "{\"context\":\"");
        for (int i = 0; i < 30; i++)
            fprintf(file, "hello %d the wide world ", (i * i + 7 * row) % 97);
        fprintf(file, "\",\"input\":\"who %d?\",\"answers\":[\"the wide world %d\"]}\n", row, row);
    }
    fclose(file);
}

/* shape: of mn__shape_new, with parameters drawn. */
static inline ev_fixture *ev_make(const char *shape)
{
    static ev_fixture f;
    mn_diag diag = {""};
    memset(&f, 0, sizeof f);
    f.m = fix_model("llama");
    f.rows = tiny_model_path("evolve.jsonl");
    ev_write_rows(f.rows);
    mn__own_task_init(&f.own, f.rows, "qa_f1", NULL, 8);
    f.ref.task = &f.own.task;
    snprintf(f.file, sizeof f.file, "%s", tiny_model_path("evolve.namm.gguf"));
    snprintf(f.policy, sizeof f.policy, "namm:file=%s,chunk=0", f.file);
    assert_int_equal(mn__shape_new(&f.namm, shape, false, &diag), MN_OK);
    mn__shape_draw(f.namm, 0.3, 1);
    if (mn__namm_write(f.namm, f.file, &diag) != MN_OK) fail_msg("%s", diag.text);
    f.n_param = mn__namm_net_params(&f.namm->net);
    f.n_in = f.namm->net.n_in;
    return &f;
}

static inline mn__deck_params ev_deck(const ev_fixture *f)
{
    return (mn__deck_params){.task = &f->ref, .n_task = 1, .source = {.own = f->rows}};
}

static inline mn_session_params ev_session(int n_thread)
{
    mn_session_params p = fix_params("full", "");
    p.n_ctx = EV_CTX;
    p.n_thread = n_thread;
    return p;
}

static inline void ev_drop(ev_fixture *f)
{
    mn__namm_free(f->namm);
    mn_model_free(f->m);
}

#endif
