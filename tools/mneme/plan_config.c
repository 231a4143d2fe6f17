/* plan_config.c: what a config is, its parameters, FLOPs and bytes, by the papers' formulas and by
 * counting, side by side. Nothing of the model's size is allocated. */
#include "plan_config.h"

#include <math.h>
#include <stdio.h>

#include "find_config.h"
#include "mneme/mneme.h"
#include "ui.h"

enum { BF16_BYTES = 2 };

typedef struct plan {
    const char *path;
    mn_cost cost;
} plan;

static double bytes_of(const mn_cost *c)
{
    return c->weights_bytes + c->gradients_bytes + c->moments_bytes + c->rows_bytes + c->pass_bytes;
}

static double flops_of(const mn_cost *c)
{
    return c->train_forward + c->train_backward;
}

/* Of a step. */
static double tokens_of(const mn_cost *c)
{
    return (double)c->passes * (double)c->batch * (double)c->length;
}

static double values_of(const mn_cost_decode *r)
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

static void print_row(const char *name, const mn_cost_row *f, const mn_cost_row *c)
{
    printf("%-19s", name);
    print_pair(f->params, c->params);
    print_pair(f->active, c->active);
    print_pair(f->flops, c->flops);
    printf("\n");
}

static void print_parts(const mn_cost *c)
{
    const mn_cost_row f = mn_cost_total(c->formula), n = mn_cost_total(c->counted);
    printf("%-19s %-29s %-29s %s\n", "", " parameters", " read for a token",
           " FLOPs of a token forward");
    printf("%-19s", "");
    for (int i = 0; i < 3; i++) printf(" %9s %9s %8s", "formula", "counted", "");
    printf("\n");
    for (int i = 0; i < MN_COST_PARTS; i++)
        if (c->formula[i].params + c->counted[i].params + c->counted[i].flops > 0)
            print_row(mn_cost_part_name((mn_cost_part)i), &c->formula[i], &c->counted[i]);
    print_row("all", &f, &n);
    const mn_cost_row fe = c->formula[MN_COST_EMBEDDING], ne = c->counted[MN_COST_EMBEDDING];
    print_row("without embedding",
              &(mn_cost_row){f.params - fe.params, f.active - fe.active, f.flops - fe.flops},
              &(mn_cost_row){n.params - ne.params, n.active - ne.active, n.flops - ne.flops});
    printf("counted: softmax skips the tiles of what is to come, keys of all ranks are folded to "
           "one\n");
}

static void print_steps(const mn_cost *c)
{
    char a[16], b[16];
    printf("training, a step: %s tokens, %s FLOPs; ", count(tokens_of(c), a),
           count(tokens_of(c) * flops_of(c), b));
    if (c->n_step)
        printf("%zu steps, %s tokens\n", c->n_step, count((double)c->n_step * tokens_of(c), a));
    else
        printf("how many, the config does not say\n");
}

static void print_training(const mn_cost *c)
{
    char a[32], b[32], d[32], e[32];
    const mn_cost_row f = mn_cost_total(c->formula);
    printf("\ntraining, FLOPs of a token: %s by formula (3 times forward), %s counted (forward %s, "
           "backward %s)\n",
           count(3 * f.flops, a), count(flops_of(c), b), count(c->train_forward, d),
           count(c->train_backward, e));
    print_steps(c);
    printf("training, bytes: weights %s, gradients %s, moments %s", ui_human(c->weights_bytes, a),
           ui_human(c->gradients_bytes, b), ui_human(c->moments_bytes, d));
    printf(", rows %s, a pass of %zu x %zu tokens %s", ui_human(c->rows_bytes, a), c->batch,
           c->length, ui_human(c->pass_bytes, b));
    printf("; together %s\n", ui_human(bytes_of(c), a));
}

static void print_decode(const mn_cost *c)
{
    char room[7][32];
    printf("\n%-19s %9s %9s %9s %9s %9s %11s %s\n", "a decode step reads", "head", "dense",
           "experts", "keys", "rows", "in bf16", " a layer's, by the paper");
    for (size_t i = 0; i < MN_COST_BATCHES; i++) {
        const mn_cost_decode *r = &c->decode[i];
        printf("  batch %-11.0f %9s %9s %9s %9s %9s %11s %9s\n", r->batch, count(r->head, room[0]),
               count(r->dense, room[1]), count(r->experts, room[2]), count(r->keys, room[3]),
               count(r->rows, room[4]), ui_human(BF16_BYTES * values_of(r), room[5]),
               r->paper_layer > 0 ? count(r->paper_layer, room[6]) : "-");
    }
}

static void print_claims(const mn_cost_claims *f)
{
    const double s = f->length;
    printf("\nMemoryFormer's paper, multiply-adds of a block at %.0f tokens, beside a dense one:\n",
           s);
    printf("  outside attention %.1f G -> %.1f G (sum of rows; -%.1f%%), %.1f G by 6/tau s d^2 "
           "(-%.1f%%; the paper: over 90%%)\n",
           s * f->dense / 1e9, s * f->rows / 1e9, 100 * (1 - f->rows / f->dense),
           s * f->formula / 1e9, 100 * (1 - f->formula / f->dense));
    printf("  all of it %.1f G -> %.1f G: %.1f%% (%.1f%% by 6/tau; the paper: 19%% at s = d = "
           "2048)\n",
           s * (f->dense + f->attention) / 1e9, s * (f->rows + f->attention) / 1e9,
           100 * (f->rows + f->attention) / (f->dense + f->attention),
           100 * (f->formula + f->attention) / (f->dense + f->attention));
}

static void print_text(const plan *p)
{
    const mn_cost *c = &p->cost;
    printf("%s: %s, %s attention, %zu blocks of width %zu, ", p->path, c->arch, c->mixer,
           c->n_block, c->width);
    if (c->n_vocab)
        printf("%zu tokens", c->n_vocab);
    else
        printf("as many tokens as the tokenizer has (%d counted)", MN_COST_VOCAB);
    printf(", length %zu\n\n", c->length);
    print_parts(c);
    print_training(c);
    print_decode(c);
    if (c->claims.length > 0) print_claims(&c->claims);
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

static json_t *row_json(const char *name, const mn_cost_row *f, const mn_cost_row *c)
{
    return json_pack("{s:s,s:o,s:o,s:o}", "part", name, "params", pair_json(f->params, c->params),
                     "active", pair_json(f->active, c->active), "flops",
                     pair_json(f->flops, c->flops));
}

static json_t *parts_json(const mn_cost *c)
{
    json_t *parts = json_array();
    for (int i = 0; i < MN_COST_PARTS; i++)
        json_array_append_new(
            parts, row_json(mn_cost_part_name((mn_cost_part)i), &c->formula[i], &c->counted[i]));
    return parts;
}

static json_t *decode_json(const mn_cost *c)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < MN_COST_BATCHES; i++) {
        const mn_cost_decode *r = &c->decode[i];
        json_array_append_new(
            rows, json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "batch", number(r->batch), "head",
                            number(r->head), "dense", number(r->dense), "experts",
                            number(r->experts), "keys", number(r->keys), "rows", number(r->rows),
                            "bf16_bytes", number(BF16_BYTES * values_of(r)), "paper_layer",
                            r->paper_layer > 0 ? number(r->paper_layer) : json_null()));
    }
    return rows;
}

static json_t *claims_json(const mn_cost_claims *f)
{
    const double s = f->length;
    if (!(s > 0)) return json_null();
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "length", number(s), "dense", number(s * f->dense),
                     "rows", number(s * f->rows), "formula", number(s * f->formula), "attention",
                     number(s * f->attention));
}

static json_t *bytes_json(const mn_cost *c)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "weights", number(c->weights_bytes), "gradients",
                     number(c->gradients_bytes), "moments", number(c->moments_bytes), "rows",
                     number(c->rows_bytes), "pass", number(c->pass_bytes));
}

/* What the config is, and the sums. */
static json_t *sums_json(const plan *p)
{
    const mn_cost *c = &p->cost;
    const mn_cost_row all = mn_cost_total(c->counted);
    json_t *doc =
        json_pack("{s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "config", ui_json_text(p->path), "arch",
                  c->arch, "mixer", c->mixer, "vocab", number((double)c->n_vocab), "vocab_counted",
                  number((double)(c->n_vocab ? c->n_vocab : MN_COST_VOCAB)), "width",
                  number((double)c->width), "blocks", number((double)c->n_block), "length",
                  number((double)c->length));
    json_t *sums = json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "steps", number((double)c->n_step), "tokens",
        number((double)c->n_step * tokens_of(c)), "parameters", number(all.params), "active",
        number(all.active), "forward_flops", number(c->train_forward), "step_flops",
        number(tokens_of(c) * flops_of(c)), "train_bytes", number(bytes_of(c)));
    json_object_update(doc, sums);
    json_decref(sums);
    return doc;
}

static json_t *plan_json(const plan *p)
{
    const mn_cost *c = &p->cost;
    const mn_cost_row f = mn_cost_total(c->formula), n = mn_cost_total(c->counted);
    json_t *doc = sums_json(p);
    json_object_set_new(doc, "parts", parts_json(c));
    json_object_set_new(doc, "all", row_json("all", &f, &n));
    json_object_set_new(doc, "decode", decode_json(c));
    json_object_set_new(doc, "claims", claims_json(&c->claims));
    json_object_set_new(doc, "token_flops",
                        json_pack("{s:o,s:o,s:o}", "formula", number(3 * f.flops), "forward",
                                  number(c->train_forward), "backward", number(c->train_backward)));
    json_object_set_new(doc, "bytes", bytes_json(c));
    return doc;
}

mn_status plan_config(const args *a, mn_diag *diag)
{
    char path[PATH_MAX];
    plan p = {.path = find_config(a->rest[0], path)};
    size_t n_thread;
    mn_status st = args_size(a, OPT_THREADS, 0, 1, 4096, &n_thread, diag);
    if (st == MN_OK) st = mn_cost_plan(p.path, a->set, a->n_set, (int)n_thread, &p.cost, diag);
    if (st != MN_OK) return st;
    if (args_has(a, OPT_JSON))
        ui_print_json(plan_json(&p));
    else
        print_text(&p);
    return MN_OK;
}
