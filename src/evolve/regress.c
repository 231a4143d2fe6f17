/* regress.c: AdamW over lanes in a drawn order (regress.h). */
#include "evolve/regress.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"
#include "base/team.h"
#include "evolve/namm_grad.h"

enum { STREAM_ORDER = 0x52454752, N_RECENT = 10 };

void mn__regress_params_default(mn__regress_params *p)
{
    *p = (mn__regress_params){
        .n_step = 150, .n_warmup = 20, .batch = 96, .rate = 3e-3, .clip = 1, .n_thread = 1};
}

typedef struct fit {
    const mn__namm_net *net;
    const mn__lane_sample *lane;
    size_t *usable; /* [n_usable] lanes that have a target */
    size_t n_usable, n_param, n_max;
    const mn__regress_params *p;
    double *param, *m, *v, *grad; /* [n_param] */
    double *part;                 /* [batch][n_param + 1]: a lane's gradient and loss */
    double *room;                 /* [threads][room_doubles] */
    size_t room_doubles;
    size_t step;
} fit;

static double mass_of(const mn__lane_sample *s)
{
    double sum = 0;
    for (size_t i = s->begin; i < s->end; i++) sum += (double)s->target[i];
    return sum;
}

static size_t drawn_lane(const fit *f, size_t k)
{
    double u = mn__rng_uniform(f->p->seed, STREAM_ORDER, f->step, (uint32_t)k);
    return f->usable[(size_t)(u * (double)f->n_usable)];
}

/* Loss, and its derivative by the scores of all n tokens. */
static double cross_entropy(const mn__lane_sample *s, const double *score, double *d_score)
{
    double top = -INFINITY, sum = 0, loss = 0, mass = mass_of(s);
    for (size_t i = s->begin; i < s->end; i++) top = fmax(top, score[i]);
    for (size_t i = s->begin; i < s->end; i++) sum += exp(score[i] - top);
    memset(d_score, 0, s->n * sizeof *d_score);
    for (size_t i = s->begin; i < s->end; i++) {
        const double want = (double)s->target[i] / mass, log_p = score[i] - top - log(sum);
        loss -= want * log_p;
        d_score[i] = exp(log_p) - want;
    }
    return loss;
}

/* Each thread takes lanes of the batch; a lane's gradient has a place of its own, so that their sum
 * has one order. */
static void run_batch(const mn__crew *crew, void *arg)
{
    const fit *f = arg;
    double *score = f->room + (size_t)crew->thread * f->room_doubles, *d_score = score + f->n_max,
           *x = d_score + f->n_max, *work = x + f->n_max * f->net->n_in;
    if (crew->thread == 0) mn__team_claim_reset(crew);
    mn__team_wait(crew);
    for (size_t k; (k = mn__team_claim(crew)) < f->p->batch;) {
        const mn__lane_sample *s = &f->lane[drawn_lane(f, k)];
        double *grad = f->part + k * (f->n_param + 1);
        for (size_t i = 0; i < s->n * f->net->n_in; i++) x[i] = (double)s->x[i];
        memset(grad, 0, f->n_param * sizeof *grad);
        mn__namm_forward(f->net, f->param, x, s->n, score, work);
        grad[f->n_param] = cross_entropy(s, score, d_score);
        mn__namm_backward(f->net, f->param, x, s->n, d_score, grad, work);
    }
}

static double learning_rate(const fit *f)
{
    const mn__regress_params *p = f->p;
    if (f->step < p->n_warmup) return p->rate * (double)(f->step + 1) / (double)p->n_warmup;
    const double t = (double)(f->step - p->n_warmup) / (double)(p->n_step - p->n_warmup);
    return p->rate * (0.05 + 0.95 * 0.5 * (1 + cos(3.14159265358979323846 * t)));
}

static double gather(fit *f)
{
    double loss = 0, norm = 0;
    memset(f->grad, 0, f->n_param * sizeof *f->grad);
    for (size_t k = 0; k < f->p->batch; k++) {
        const double *part = f->part + k * (f->n_param + 1);
        for (size_t i = 0; i < f->n_param; i++) f->grad[i] += part[i] / (double)f->p->batch;
        loss += part[f->n_param] / (double)f->p->batch;
    }
    for (size_t i = 0; i < f->n_param; i++) norm += f->grad[i] * f->grad[i];
    norm = sqrt(norm);
    if (f->p->clip > 0 && norm > f->p->clip)
        for (size_t i = 0; i < f->n_param; i++) f->grad[i] *= f->p->clip / norm;
    return loss;
}

static void adam_step(fit *f)
{
    const double b1 = 0.9, b2 = 0.999, rate = learning_rate(f), t = (double)f->step + 1;
    for (size_t i = 0; i < f->n_param; i++) {
        const double g = f->grad[i];
        f->m[i] = b1 * f->m[i] + (1 - b1) * g;
        f->v[i] = b2 * f->v[i] + (1 - b2) * g * g;
        f->param[i] -=
            rate * (f->m[i] / (1 - pow(b1, t))) / (sqrt(f->v[i] / (1 - pow(b2, t))) + 1e-8);
    }
}

static mn_status steps(fit *f, mn__team *team, double *loss, mn_diag *diag)
{
    double recent = 0;
    size_t n_recent = 0;
    for (f->step = 0; f->step < f->p->n_step; f->step++) {
        if (f->p->stop && f->p->stop(f->p->ctx)) return mn__fail(diag, MN_ECANCEL, "interrupted");
        mn__team_run(team, run_batch, f);
        const double now = gather(f);
        if (!isfinite(now))
            return mn__fail(diag, MN_EINPUT, "step %zu: the loss is no number", f->step);
        adam_step(f);
        if (f->step + N_RECENT >= f->p->n_step) {
            recent += now;
            n_recent++;
        }
        if (f->p->progress) f->p->progress(f->step, now, f->p->ctx);
    }
    if (loss) *loss = recent / (double)n_recent;
    return MN_OK;
}

static mn_status look_at_lanes(fit *f, size_t n_lane, mn_diag *diag)
{
    f->usable = mn__alloc_array(MN_MEM_OTHER, n_lane, sizeof *f->usable);
    if (!f->usable) return mn__fail(diag, MN_ENOMEM, "no memory for a list of lanes");
    for (size_t i = 0; i < n_lane; i++) {
        if (!(mass_of(&f->lane[i]) > 0)) continue;
        f->usable[f->n_usable++] = i;
        if (f->lane[i].n > f->n_max) f->n_max = f->lane[i].n;
    }
    return f->n_usable ? MN_OK : mn__fail(diag, MN_EINPUT, "no lane has anything to fit to");
}

static mn_status take_room(fit *f, size_t n_thread, mn_diag *diag)
{
    f->room_doubles = (2 + f->net->n_in) * f->n_max + mn__namm_grad_doubles(f->net, f->n_max);
    f->param = mn__alloc_array(MN_MEM_OTHER, 4 * f->n_param, sizeof *f->param);
    f->part = mn__alloc_array(MN_MEM_OTHER, f->p->batch * (f->n_param + 1), sizeof *f->part);
    f->room = mn__alloc_array(MN_MEM_OTHER, n_thread * f->room_doubles, sizeof *f->room);
    if (!f->param || !f->part || !f->room)
        return mn__fail(diag, MN_ENOMEM, "no memory to fit %zu parameters", f->n_param);
    memset(f->param, 0, 4 * f->n_param * sizeof *f->param);
    f->m = f->param + f->n_param;
    f->v = f->m + f->n_param;
    f->grad = f->v + f->n_param;
    return MN_OK;
}

mn_status mn__regress(const mn__namm_net *net, const mn__lane_sample *lane, size_t n_lane,
                      const mn__regress_params *params, float *param, double *loss, mn_diag *diag)
{
    mn_status st;
    mn__team *team = mn__team_new(params->n_thread);
    fit f = {.net = net, .lane = lane, .p = params, .n_param = mn__namm_net_params(net)};
    if (!team) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for threads"));
    if (!params->batch || params->n_step <= params->n_warmup)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "lanes in a batch and more steps than %zu wanted",
                        params->n_warmup));
    MN_TRY(look_at_lanes(&f, n_lane, diag));
    MN_TRY(take_room(&f, (size_t)mn__team_size(team), diag));
    for (size_t i = 0; i < f.n_param; i++) f.param[i] = (double)param[i];
    MN_TRY(steps(&f, team, loss, diag));
    for (size_t i = 0; i < f.n_param; i++) param[i] = (float)f.param[i];
done:
    mn__team_free(team);
    mn__free(f.usable);
    mn__free(f.param);
    mn__free(f.part);
    mn__free(f.room);
    return st;
}
