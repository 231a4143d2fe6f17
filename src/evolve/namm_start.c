/* namm_start.c: where an evolution of NAMMs begins: a file, or a shape that has seen prompts. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/heap.h"
#include "evolve/evolve_namm.h"
#include "evolve/run_state.h"
#include "evolve/shape.h"
#include "evolve/warm.h"
#include "infer/session_internal.h"
#include "policy/evict.h"

enum { DRAW_SEED = 1 };
#define DRAW_SIGMA 0.1

typedef mn__namm_job job;

static bool is_file(const char *start)
{
    return strchr(start, '/') || strstr(start, ".gguf");
}

/* ---- what it came from ---- */

/* How an ancestor was made, and what it came from: the newest first, so that the oldest are cut. */
static void describe(mn__draft *text, const char *label, const mn__namm *namm)
{
    enum { ANCESTRY_MAX = 2048 };
    const char *generations = mn__namm_get_note(namm, "generations"),
               *command = mn__namm_get_note(namm, "command"),
               *from = mn__namm_get_note(namm, MN__NOTE_FROM),
               *ancestry = mn__namm_get_note(namm, MN__NOTE_ANCESTRY);
    mn__draft_str(text, label);
    if (generations) mn__draft_fmt(text, ": %s generations", generations);
    if (command) mn__draft_fmt(text, "%s %s", generations ? " of" : ":", command);
    if (ancestry || from) mn__draft_fmt(text, "; before that %s", ancestry ? ancestry : from);
    if (text->n <= ANCESTRY_MAX) return;
    size_t n = ANCESTRY_MAX - 3;
    while (n && (text->text[n] & 0xc0) == 0x80) n--; /* whole characters */
    memcpy(text->text + n, "...", 4);
}

/* A file's notes make room for one of it and one of its ancestors. */
static mn_status note_file(mn__namm *namm, const char *path, mn_diag *diag)
{
    mn_status st = MN_ENOMEM;
    mn__draft text = {0};
    char label[MN__JOB_PATH];
    mn__namm_label(namm, path, label, sizeof label);
    describe(&text, label, namm);
    if (text.failed) goto done;
    mn__namm_drop_notes(namm);
    MN_TRY(mn__namm_add_note(namm, MN__NOTE_FROM, label));
    MN_TRY(mn__namm_add_note(namm, MN__NOTE_ANCESTRY, mn__draft_text(&text)));
done:
    mn__draft_free(&text);
    return st == MN_OK ? st : mn__fail(diag, st, "no memory for a NAMM's notes");
}

/* Which prompts a shape has not seen, as words; false: it has seen all. */
static bool note_of_held_out(const job *j, char *out, size_t cap)
{
    snprintf(out, cap, "%zu of seed %llu", j->run.n_held_out,
             (unsigned long long)j->run.search.seed);
    return j->run.n_held_out != 0;
}

static mn_status note_shape(job *j, mn_diag *diag)
{
    mn_status st;
    char held[64];
    MN_TRY(mn__namm_add_note(j->namm, MN__NOTE_FROM, j->p->start));
    if (j->p->warm) MN_TRY(mn__namm_add_note(j->namm, MN__NOTE_WARM, "yes"));
    if (note_of_held_out(j, held, sizeof held))
        MN_TRY(mn__namm_add_note(j->namm, MN__NOTE_HELD_OUT, held));
done:
    return st == MN_OK ? st : mn__fail(diag, st, "no memory for a NAMM's notes");
}

/* ---- where it begins ---- */

static mn_status new_shape(const job *j, mn__namm **out, mn_diag *diag)
{
    mn__budget budget;
    const char *more = j->p->policy ? j->p->policy : "";
    bool is_free = strstr(more, "rule=threshold") || strstr(more, "rule=layer"); /* a cap at most */
    for (size_t i = 0; i < j->p->n_budget; i++) {
        mn_status st = mn__budget_parse(j->p->budget[i], &budget, diag);
        if (st != MN_OK) return st;
        is_free |= budget.kind == MN__BUDGET_NONE;
    }
    return mn__shape_new(out, j->p->start, is_free, diag);
}

static mn_status make_start(job *j, mn_diag *diag)
{
    mn_status st;
    mn__stage_rows t = {0};
    mn__row_look look;
    mn__capture captured = {0};
    mn_diag why = {""};
    char draft[MN__JOB_PATH + 16];
    double loss = NAN;
    MN_TRY(new_shape(j, &j->namm, diag));
    MN_TRY(note_shape(j, diag));
    const mn__namm_head head = j->namm->net.head;
    if (head == MN__NAMM_MIX || (head != MN__NAMM_LINEAR && j->p->warm))
        mn__shape_draw(j->namm, DRAW_SIGMA, j->session.seed + DRAW_SEED);
    MN_TRY(mn__stage_rows_find(&t, j, 0, diag));
    MN_TRY(mn__namm_job_look(j, 0, &look, diag));
    mn__warm_params w = {.capture = mn__namm_job_capture(j, &t, &look)};
    w.capture.n_held_out = j->run.n_held_out; /* else they would not be held out of the fit */
    w.capture.held_out_seed = j->run.search.seed;
    mn__regress_params_default(&w.regress);
    w.regress.n_thread = (int)j->n_worker;
    w.regress.stop = j->p->run.stop;
    w.regress.ctx = j->p->run.ctx;
    if (head == MN__NAMM_BAM) { /* its cost grows with the square of a lane */
        w.regress.n_step = 60;
        w.regress.n_warmup = 10;
        w.regress.batch = 8;
    }
    if (!j->p->warm) w.regress.n_step = 0;
    /* Under another name until it is whole. */
    snprintf(draft, sizeof draft, "%s.new", j->start);
    const mn_status seen = mn__warm_start(j->namm, draft, &w, &captured, &loss, &why);
    /* What is left out may be why it failed. */
    if (seen != MN_ENOMEM && seen != MN_ECANCEL) MN_TRY(mn__namm_job_count_rows(j, &look, diag));
    if (seen != MN_OK) MN_TRY(mn__fail(diag, seen, "%s", why.text));
    MN_TRY(mn__namm_job_count_uncut(j, &captured, diag));
    if (rename(draft, j->start)) MN_TRY(mn__fail(diag, MN_EIO, "cannot write %s", j->start));
done:
    mn__capture_fini(&captured);
    mn__stage_rows_free(&t);
    return st;
}

/* A file's own numbers: those of a shape are made here. */
static mn_status check_weights(const mn__namm *namm, const char *path, mn_diag *diag)
{
    const size_t n = mn__namm_net_params(&namm->net);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(namm->param[i]))
            return mn__fail(diag, MN_EINPUT,
                            "%s: finite weights wanted to evolve from, %g found for weight %zu of "
                            "%zu",
                            path, (double)namm->param[i], i + 1, n);
    return MN_OK;
}

static mn_status copy_file(job *j, mn_diag *diag)
{
    mn_status st;
    MN_TRY(mn__namm_read(&j->namm, j->p->start, diag));
    MN_TRY(check_weights(j->namm, j->p->start, diag));
    MN_TRY(note_file(j->namm, j->p->start, diag));
    MN_TRY(mn__namm_write(j->namm, j->start, diag));
done:
    return st;
}

/* ---- where it goes on ---- */

static bool is_there(const job *j, const char *name)
{
    char path[MN__JOB_PATH];
    snprintf(path, sizeof path, "%s/%s", j->run.dir, name);
    return access(path, F_OK) == 0;
}

static bool has_run(const job *j)
{
    return is_there(j, "evolve.gguf") || is_there(j, "evolve.gguf.1");
}

/* Is there something in the folder that follows from its start.namm.gguf? One that was left alone
 * may be of any other options, and is made anew. */
static bool has_begun(const job *j)
{
    return access(j->start, F_OK) == 0 && (has_run(j) || is_there(j, "compare.json"));
}

/* What is asked for now, read where it is there: *out stays NULL for a file that is gone. */
static mn_status read_asked(const job *j, mn__namm **out, char *label, size_t cap, mn_diag *diag)
{
    mn_status st = MN_OK;
    const char *start = j->p->start;
    *out = NULL;
    snprintf(label, cap, "%s", start);
    if (!is_file(start)) return new_shape(j, out, diag);
    if (access(start, F_OK) && errno == ENOENT) {
        const char *slash = strrchr(start, '/');
        snprintf(label, cap, "%s", slash ? slash + 1 : start);
        return MN_OK;
    }
    MN_TRY(mn__namm_read(out, start, diag));
    mn__namm_label(*out, start, label, cap);
done:
    return st;
}

/* NAME#HASH: the same content under another name is the same. A file that is gone is the one that
 * was there when its name is: what it held is in start.namm.gguf. */
static bool is_same_origin(const char *asked, bool is_gone, const char *found)
{
    const char *a = strrchr(asked, '#'), *f = strrchr(found, '#');
    if (is_gone && f)
        return strlen(asked) == (size_t)(f - found) && !strncmp(asked, found, strlen(asked));
    return !strcmp(a && f ? a : asked, a && f ? f : found);
}

/* A start that an earlier version made says nothing of itself. */
static mn_status same_network(const job *j, const mn__namm *asked, const mn__namm *found,
                              mn_diag *diag)
{
    if (j->run.note)
        j->run.note(j->run.ctx, "start.namm.gguf is of an earlier version, which did not note what "
                                "it was made of: taken to be what is asked for");
    if (!asked || (asked->net.head == found->net.head &&
                   mn__namm_net_params(&asked->net) == mn__namm_net_params(&found->net)))
        return MN_OK;
    return mn__run_differ(j->start, "from", j->p->start, "another network", j->run.option_name,
                          diag);
}

/* start.namm.gguf is what this run would begin with. */
static mn_status same_start(const job *j, mn_diag *diag)
{
    mn_status st;
    mn__namm *asked = NULL, *found = NULL;
    char label[MN__JOB_PATH + 32], held[64];
    MN_TRY(read_asked(j, &asked, label, sizeof label, diag));
    MN_TRY(mn__namm_read(&found, j->start, diag));
    const char *from = mn__namm_get_note(found, MN__NOTE_FROM),
               *warm = mn__namm_get_note(found, MN__NOTE_WARM),
               *held_out = mn__namm_get_note(found, MN__NOTE_HELD_OUT);
    if (!from) {
        st = same_network(j, asked, found, diag);
        goto done;
    }
    if (!is_same_origin(label, !asked, from))
        MN_TRY(mn__run_differ(j->start, "from", label, from, j->run.option_name, diag));
    if (is_file(j->p->start)) goto done;
    if (j->p->warm != (warm != NULL))
        MN_TRY(mn__run_differ(j->start, "warm", j->p->warm ? "yes" : "", warm, j->run.option_name,
                              diag));
    /* A comparison holds out none, and has no use for those that a run did. */
    if (!has_run(j) && note_of_held_out(j, held, sizeof held) &&
        (!held_out || strcmp(held, held_out)))
        MN_TRY(mn__run_differ(j->start, "held_out", held, held_out, j->run.option_name, diag));
done:
    mn__namm_free(asked);
    mn__namm_free(found);
    return st;
}

/* Of the first candidates. Steps as long as what was learned would lose it (decision 0020). */
static double first_sigma(const job *j)
{
    double largest = 0;
    if (j->p->warm || is_file(j->p->start))
        for (size_t i = 0; i < j->run.search.n; i++) largest = fmax(largest, fabs(j->mean[i]));
    return largest > 0 ? largest / 10 : 0.2;
}

mn_status mn__namm_job_begin(job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    uint64_t here = 0;
    mn__run_folder folder = {.fd = -1};
    const mn_evolve_ranks *ranks = &j->run.ranks;
    if (j->p->warm && is_file(j->p->start))
        MN_TRY(
            mn__fail(diag, MN_EUSAGE, "a warm start fits a shape, and %s is a file", j->p->start));
    if (ranks->n <= 1 || ranks->rank == 0) {
        MN_TRY(mn__run_folder_open(&folder, j->run.dir, diag)); /* a run there keeps its start */
        if (has_begun(j))
            MN_TRY(same_start(j, diag));
        else
            MN_TRY(is_file(j->p->start) ? copy_file(j, diag) : make_start(j, diag));
        mn__run_folder_close(&folder);
    }
    if (ranks->n > 1) MN_TRY(ranks->share(ranks->ctx, &here, 1, diag));
    mn__namm_free(j->namm);
    j->namm = NULL;
    MN_TRY(mn__namm_read(&j->namm, j->start, diag));
    MN_TRY(check_weights(j->namm, j->start, diag));
    j->run.search.n = mn__namm_net_params(&j->namm->net);
    j->mean = mn__alloc_array(MN_MEM_OTHER, j->run.search.n, sizeof *j->mean);
    if (!j->mean) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a network"));
    for (size_t i = 0; i < j->run.search.n; i++) j->mean[i] = (double)j->namm->param[i];
    j->run.search.mean = j->mean;
    if (j->p->picks_sigma) j->run.search.sigma = first_sigma(j);
done:
    mn__run_folder_close(&folder);
    return st;
}

/* ---- the share kept ---- */

/* The NAMM that evolution begins with, or one of its shape. */
static mn_status read_start(const job *j, mn__namm **out, mn_diag *diag)
{
    const char *start = j->p->start;
    if (has_begun(j)) return mn__namm_read(out, j->start, diag);
    return is_file(start) ? mn__namm_read(out, start, diag) : new_shape(j, out, diag);
}

/* Of a run's stages, or a comparison's sides. */
static bool rates_retained(const job *j)
{
    for (size_t i = 0; i < j->n_side; i++)
        if (!strcmp(j->side[i].fidelity, "retained")) return true;
    for (size_t i = 0; !j->n_side && i < j->run.n_stage; i++)
        if (!strcmp(j->run.stage[i].fidelity, "retained")) return true;
    return false;
}

mn_status mn__namm_job_check_target(const job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__namm *namm = NULL;
    mn__policy *policy = NULL;
    mn__budget budget;
    mn_session_params resolved;
    if (!(j->p->run.target_share > 0)) return MN_OK;
    if (rates_retained(j))
        MN_TRY(mn__fail(diag, MN_EUSAGE,
                        "a share to aim at is for fidelity frozen or true: retained attention is "
                        "counted at fixed shares"));
    MN_TRY(read_start(j, &namm, diag));
    mn__session_resolve(j->m, &j->session, &resolved);
    const mn__cache_shape shape = mn__session_shape(j->m, &resolved);
    for (size_t i = 0; i < j->p->n_budget; i++) {
        const char *text = j->p->budget[i];
        MN_TRY(mn__budget_parse(text, &budget, diag));
        mn__policy_free(policy);
        MN_TRY(mn__policy_new_of(&policy, j->frozen, namm, &budget, &shape, diag));
        if (!mn__policy_decides(policy))
            MN_TRY(mn__fail(diag, MN_EUSAGE,
                            "a share to aim at is for NAMMs that act by threshold "
                            "(rule=threshold, or no budget): this one keeps what %s says",
                            *text ? text : "its budget"));
    }
done:
    mn__policy_free(policy);
    mn__namm_free(namm);
    return st;
}
