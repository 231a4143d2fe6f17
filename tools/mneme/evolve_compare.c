/* evolve_compare.c: `mneme evolve --compare N`: how well cheap ratings rank. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "evolve.h"
#include "options.h"

enum { FIDELITY_BYTES = 256 };

typedef struct compare {
    evolve_run *folder;
    mn_evolve_compare_params p;
    mn_evolve_side side[MN_EVOLVE_SIDE_MAX];
    char fidelity[FIDELITY_BYTES]; /* --fidelity, cut into words */
} compare;

/* ---- options ---- */

/* What is of generations alone. */
static mn_status refuse_others(const args *a, mn_diag *diag)
{
    static const option_id id[] = {OPT_GENERATIONS, OPT_HELD_OUT,    OPT_VALIDATE,
                                   OPT_GOAL,        OPT_MAX_SECONDS, OPT_LOG_CANDIDATES,
                                   OPT_RESTART,     OPT_TARGET,      OPT_MAX_EVALUATIONS,
                                   OPT_HANDLE_NOISE};
    for (size_t i = 0; i < sizeof id / sizeof *id; i++)
        if (args_has(a, id[i]))
            return mn__fail(diag, MN_EUSAGE, "--%s is of generations: --compare has none",
                            option_table[id[i]].name);
    return MN_OK;
}

/* "true:metric" -> a side. */
static mn_status read_side(char *word, mn_evolve_loss loss, mn_evolve_side *out, mn_diag *diag)
{
    static const char *const names[] = {"retained", "frozen", "true"};
    char *after = strchr(word, ':');
    *out = (mn_evolve_side){.loss = after ? MN_EVOLVE_LOSS_COUNT : loss};
    if (after) *after++ = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(word, names[i])) out->fidelity = names[i];
    for (int i = 0; after && i < MN_EVOLVE_LOSS_COUNT; i++)
        if (!strcmp(after, mn_evolve_loss_name((mn_evolve_loss)i))) out->loss = (mn_evolve_loss)i;
    if (!out->fidelity)
        return mn__fail(diag, MN_EUSAGE, "--fidelity: retained, frozen or true wanted, '%s' found",
                        word);
    if (out->loss == MN_EVOLVE_LOSS_COUNT)
        return mn__fail(diag, MN_EUSAGE, "--fidelity: %s:kl, :nll or :metric wanted, '%s' found",
                        word, after);
    return MN_OK;
}

static mn_status read_sides(compare *c, const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    char *save = NULL;
    const char *text = args_has(a, OPT_FIDELITY) ? a->value[OPT_FIDELITY] : "retained,frozen,true";
    if (strlen(text) >= sizeof c->fidelity)
        return mn__fail(diag, MN_EUSAGE, "--fidelity: a shorter list wanted");
    snprintf(c->fidelity, sizeof c->fidelity, "%s", text);
    for (char *w = strtok_r(c->fidelity, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
        if (c->p.n_side == MN_EVOLVE_SIDE_MAX)
            MN_TRY(mn__fail(diag, MN_EUSAGE, "--fidelity: at most %d", MN_EVOLVE_SIDE_MAX));
        MN_TRY(read_side(w, c->p.namm.loss, &c->side[c->p.n_side++], diag));
    }
    c->p.side = c->side;
done:
    return st;
}

/* ---- what is told ---- */

static void on_tick(void *ctx, uint64_t done, uint64_t total)
{
    progress *bar = &((compare *)ctx)->folder->bar;
    if (!progress_due(bar)) return;
    fprintf(stderr, "rating %.1f%%", 100 * (double)done / (double)total);
    progress_drawn(bar);
}

static void on_read(uint64_t done, uint64_t total, void *ctx)
{
    evolve_run_read(done, total, ((const compare *)ctx)->folder);
}

static void on_note(void *ctx, const char *sentence)
{
    const compare *c = ctx;
    progress_end(&c->folder->bar);
    ui_note(c->folder->a, "%s", sentence);
}

static bool stop(void *ctx)
{
    (void)ctx;
    return ui_interrupted();
}

static const char *name_of(const compare *c, size_t i, char name[64])
{
    const mn_evolve_side *s = &c->side[i];
    const bool is_own = !strcmp(s->fidelity, "retained");
    snprintf(name, 64, "%s%s%s", s->fidelity, is_own ? "" : ":",
             is_own ? "" : mn_evolve_loss_name(s->loss));
    return name;
}

static void show(const compare *c, const mn_evolve_comparison *found)
{
    char name[64], other[64];
    printf("%zu candidates, %zu prompts, sigma %g\n\n", c->p.n_candidate, found->n_prompt,
           found->sigma);
    printf("%-18s %9s %9s %9s %7s %7s %9s %9s\n", "fidelity", "best", "median", "worst", "failed",
           "kept", "begin s", "rate s");
    for (size_t i = 0; i < c->p.n_side; i++) {
        const mn_evolve_side_result *s = &found->side[i];
        printf("%-18s %9.4f %9.4f %9.4f %7zu %6.1f%% %9.1f %9.1f\n", name_of(c, i, name), s->best,
               s->median, s->worst, s->n_failed, 100 * s->kept_share, s->begin_s, s->rate_s);
    }
    if (found->n_pair) printf("\n%-38s %s\n", "", "rank correlation [95% interval]");
    for (size_t i = 0; i < found->n_pair; i++) {
        const mn_evolve_pair *p = &found->pair[i];
        printf("%-18s  %-18s %+.3f [%+.3f, %+.3f]\n", name_of(c, p->a, name),
               name_of(c, p->b, other), p->rho, p->lo, p->hi);
    }
}

static mn_status print_document(const char *dir, mn_diag *diag)
{
    char path[4096];
    json_error_t why;
    snprintf(path, sizeof path, "%s/compare.json", dir);
    json_t *doc = json_load_file(path, 0, &why);
    if (!doc) return mn__fail(diag, MN_EIO, "%s: %s", path, why.text);
    ui_print_json(doc);
    return MN_OK;
}

mn_status evolve_compare(evolve_run *folder, const mn_evolve_namm_params *p, const mn_model *m,
                         mn_diag *diag)
{
    mn_status st;
    mn_evolve_comparison found;
    const args *a = folder->a;
    compare c = {.folder = folder, .p = {.namm = *p}};
    c.p.namm.run.tick = on_tick;
    c.p.namm.read = on_read;
    c.p.namm.run.note = on_note;
    c.p.namm.run.stop = stop;
    c.p.namm.run.ctx = &c;
    if (p->run.n_stage > 1) MN_TRY(mn__fail(diag, MN_EUSAGE, "--compare wants one --stage"));
    MN_TRY(refuse_others(a, diag));
    MN_TRY(args_size(a, OPT_COMPARE, 64, 3, 1 << 16, &c.p.n_candidate, diag));
    MN_TRY(read_sides(&c, a, diag));
    MN_TRY(mn_evolve_compare(m, &c.p, &found, diag));
    progress_end(&folder->bar);
    if (folder->ranks.rank) return MN_OK;
    if (found.n_left) ui_note(a, "%zu prompts left out: one side cannot rate them", found.n_left);
    if (args_has(a, OPT_JSON)) return print_document(p->run.dir, diag);
    show(&c, &found);
done:
    progress_end(&folder->bar);
    return st;
}
