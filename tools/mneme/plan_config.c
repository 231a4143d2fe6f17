/* plan_config.c: a config's parameters, FLOPs and bytes, by the papers' formulas and by counting,
 * side by side. Nothing of the model's size is allocated. */
#include "plan_config.h"

#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/team.h"
#include "train/cost.h"
#include "ui.h"

/* Length at which MemoryFormer's paper counts a block. */
#define CLAIM_LENGTH 2048.0

static const double batches[] = {1, 8, 64};
enum { N_BATCH = sizeof batches / sizeof *batches, BF16_BYTES = 2 };

typedef struct plan {
    const char *path;
    mn__config config;
    mn__cost cost;
} plan;

static const char *arch_name(const mn__config *c, char *room, size_t cap)
{
    for (size_t i = 0; i < mn__config_count(); i++)
        if (mn__config_at(i)->kind == MN__CONFIG_IS_CHOICE &&
            mn__config_at(i)->at == offsetof(mn__config, model_arch))
            mn__config_value(c, mn__config_at(i), room, cap);
    return room;
}

static double bytes_of(const mn__cost_memory *m)
{
    return m->weights + m->gradients + m->moments + m->rows + m->tape;
}

static double values_of(const mn__cost_read *r)
{
    return r->head + r->dense + r->experts + r->keys + r->rows;
}

/* ---- text ---- */

/* 1234567 as "1.235 M"; out at least 16. */
static const char *count(double x, char *out)
{
    static const char *const unit[] = {"", " k", " M", " G", " T"};
    size_t u = 0;
    for (; x >= 1e4 && u + 1 < sizeof unit / sizeof *unit; u++) x /= 1000;
    snprintf(out, 16, u || x != floor(x) ? "%.4g%s" : "%.0f%s", x, unit[u]);
    return out;
}

/* "formula   counted" and by how much the second differs. */
static void print_pair(double formula, double counted)
{
    char f[16], c[16], d[16] = "";
    if (formula > 0 && fabs(counted - formula) > 5e-5 * formula)
        snprintf(d, sizeof d, "%+.2f%%", 100 * (counted / formula - 1));
    printf(" %9s %9s %8s", count(formula, f), count(counted, c), d);
}

static void print_row(const char *name, const mn__cost_row *f, const mn__cost_row *c)
{
    printf("%-19s", name);
    print_pair(f->params, c->params);
    print_pair(f->active, c->active);
    print_pair(f->flops, c->flops);
    printf("\n");
}

static void print_parts(const plan *p)
{
    const mn__cost *c = &p->cost;
    const mn__cost_row f = mn__cost_total(c->formula), n = mn__cost_total(c->counted);
    printf("%-19s %-29s %-29s %s\n", "", " parameters", " read for a token",
           " FLOPs of a token forward");
    printf("%-19s", "");
    for (int i = 0; i < 3; i++) printf(" %9s %9s %8s", "formula", "counted", "");
    printf("\n");
    for (int i = 0; i < MN__COST_PARTS; i++)
        if (c->formula[i].params + c->counted[i].params + c->counted[i].flops > 0)
            print_row(mn__cost_part_name((mn__cost_part)i), &c->formula[i], &c->counted[i]);
    print_row("all", &f, &n);
    const mn__cost_row fe = c->formula[MN__COST_EMBEDDING], ne = c->counted[MN__COST_EMBEDDING];
    print_row("without embedding",
              &(mn__cost_row){f.params - fe.params, f.active - fe.active, f.flops - fe.flops},
              &(mn__cost_row){n.params - ne.params, n.active - ne.active, n.flops - ne.flops});
    printf("counted: softmax skips the tiles of what is to come, keys of all ranks are folded to "
           "one\n");
}

static void print_training(const plan *p)
{
    char a[32], b[32], c[32], d[32];
    const mn__cost_memory *m = &p->cost.memory;
    const mn__cost_row f = mn__cost_total(p->cost.formula);
    printf("\ntraining, FLOPs of a token: %s by formula (3 times forward), %s counted (forward %s, "
           "backward %s)\n",
           count(3 * f.flops, a), count(p->cost.forward + p->cost.backward, b),
           count(p->cost.forward, c), count(p->cost.backward, d));
    printf("training, bytes: weights %s, gradients %s, moments %s", ui_human(m->weights, a),
           ui_human(m->gradients, b), ui_human(m->moments, c));
    printf(", rows %s, a pass of %zu x %zu tokens %s", ui_human(m->rows, a), p->config.train_batch,
           p->config.train_length, ui_human(m->tape, b));
    printf("; together %s\n", ui_human(bytes_of(m), a));
}

static void print_decode(const plan *p)
{
    char room[6][32];
    printf("\n%-19s %9s %9s %9s %9s %9s %11s %s\n", "a decode step reads", "head", "dense",
           "experts", "keys", "rows", "in bf16", " a layer's, by the paper");
    for (size_t i = 0; i < N_BATCH; i++) {
        const mn__cost_read r = mn__cost_decode(&p->config, batches[i]);
        const double paper = mn__cost_paper_access(&p->config, batches[i]);
        printf("  batch %-11.0f %9s %9s %9s %9s %9s %11s %9s\n", batches[i], count(r.head, room[0]),
               count(r.dense, room[1]), count(r.experts, room[2]), count(r.keys, room[3]),
               count(r.rows, room[4]), ui_human(BF16_BYTES * values_of(&r), room[5]),
               paper > 0 ? count(paper, (char[16]){0}) : "-");
    }
}

static void print_claims(const plan *p)
{
    const double s = CLAIM_LENGTH;
    const mn__cost_former f = mn__cost_former_claims(&p->config, s);
    printf("\nMemoryFormer's paper, multiply-adds of a block at %.0f tokens, beside a dense one:\n",
           s);
    printf("  outside attention %.1f G -> %.1f G (sum of rows; -%.1f%%), %.1f G by 6/tau s d^2 "
           "(-%.1f%%; the paper: over 90%%)\n",
           s * f.dense / 1e9, s * f.exact / 1e9, 100 * (1 - f.exact / f.dense), s * f.paper / 1e9,
           100 * (1 - f.paper / f.dense));
    printf("  all of it %.1f G -> %.1f G: %.1f%% (%.1f%% by 6/tau; the paper: 19%% at s = d = "
           "2048)\n",
           s * (f.dense + f.attention) / 1e9, s * (f.exact + f.attention) / 1e9,
           100 * (f.exact + f.attention) / (f.dense + f.attention),
           100 * (f.paper + f.attention) / (f.dense + f.attention));
}

static void print_text(const plan *p)
{
    char arch[32];
    printf("%s: %s, %zu blocks of width %zu, %zu tokens, length %zu\n\n", p->path,
           arch_name(&p->config, arch, sizeof arch), p->config.model_blocks, p->config.model_width,
           p->config.model_vocab, p->config.train_length);
    print_parts(p);
    print_training(p);
    print_decode(p);
    if (p->config.model_arch == MN__ARCH_MEMORYFORMER) print_claims(p);
}

/* ---- JSON ---- */

/* Whole numbers keep all their digits. */
static json_t *number(double x)
{
    return x == floor(x) && fabs(x) < 9e15 ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *pair_json(double formula, double counted)
{
    return json_pack("{s:o,s:o}", "formula", number(formula), "counted", number(counted));
}

static json_t *row_json(const char *name, const mn__cost_row *f, const mn__cost_row *c)
{
    return json_pack("{s:s,s:o,s:o,s:o}", "part", name, "params", pair_json(f->params, c->params),
                     "active", pair_json(f->active, c->active), "flops",
                     pair_json(f->flops, c->flops));
}

static json_t *parts_json(const mn__cost *c)
{
    json_t *parts = json_array();
    for (int i = 0; i < MN__COST_PARTS; i++)
        json_array_append_new(
            parts, row_json(mn__cost_part_name((mn__cost_part)i), &c->formula[i], &c->counted[i]));
    return parts;
}

static json_t *decode_json(const mn__config *c)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < N_BATCH; i++) {
        const mn__cost_read r = mn__cost_decode(c, batches[i]);
        const double paper = mn__cost_paper_access(c, batches[i]);
        json_array_append_new(rows, json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "batch",
                                              number(batches[i]), "head", number(r.head), "dense",
                                              number(r.dense), "experts", number(r.experts), "keys",
                                              number(r.keys), "rows", number(r.rows), "bf16_bytes",
                                              number(BF16_BYTES * values_of(&r)), "paper_layer",
                                              paper > 0 ? number(paper) : json_null()));
    }
    return rows;
}

static json_t *claims_json(const mn__config *c)
{
    const double s = CLAIM_LENGTH;
    if (c->model_arch != MN__ARCH_MEMORYFORMER) return json_null();
    const mn__cost_former f = mn__cost_former_claims(c, s);
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "length", number(s), "dense", number(s * f.dense),
                     "rows", number(s * f.exact), "formula", number(s * f.paper), "attention",
                     number(s * f.attention));
}

static json_t *plan_json(const plan *p)
{
    char arch[32];
    const mn__cost *c = &p->cost;
    const mn__cost_memory *m = &c->memory;
    const mn__cost_row f = mn__cost_total(c->formula), n = mn__cost_total(c->counted);
    json_t *doc = json_pack("{s:o,s:s,s:o,s:o,s:o,s:o}", "config", ui_json_text(p->path), "arch",
                            arch_name(&p->config, arch, sizeof arch), "parts", parts_json(c), "all",
                            row_json("all", &f, &n), "decode", decode_json(&p->config), "claims",
                            claims_json(&p->config));
    json_object_set_new(doc, "train_flops",
                        json_pack("{s:o,s:o,s:o}", "formula", number(3 * f.flops), "forward",
                                  number(c->forward), "backward", number(c->backward)));
    json_object_set_new(doc, "train_bytes",
                        json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "weights", number(m->weights),
                                  "gradients", number(m->gradients), "moments", number(m->moments),
                                  "rows", number(m->rows), "pass", number(m->tape), "all",
                                  number(bytes_of(m))));
    return doc;
}

mn_status plan_config(const args *a, mn_diag *diag)
{
    mn_status st;
    plan p = {.path = a->rest[0]};
    size_t n_thread;
    mn__team *team = NULL;
    mn__config_init(&p.config);
    MN_TRY(mn__config_read(&p.config, p.path, diag));
    for (size_t i = 0; i < a->n_set; i++) MN_TRY(mn__config_override(&p.config, a->set[i], diag));
    /* A plan needs no length of training. */
    if (!p.config.train_steps && !p.config.train_tokens) p.config.train_steps = 1;
    MN_TRY(mn__config_check(&p.config, diag));
    MN_TRY(args_size(a, OPT_THREADS, p.config.train_threads, 1, 4096, &n_thread, diag));
    team = mn__team_new(n_thread ? (int)n_thread : mn__cpu_count());
    MN_TRY(mn__cost_make(&p.config, team, &p.cost, diag));
    if (args_has(a, OPT_JSON))
        ui_print_json(plan_json(&p));
    else
        print_text(&p);
done:
    mn__team_free(team);
    return st;
}
