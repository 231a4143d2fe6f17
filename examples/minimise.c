/* minimise.c: find where a function of your own is smallest, by CMA-ES.
 *
 *   minimise N
 *
 * Build: cc minimise.c $(pkg-config --cflags --libs mneme) */
#include <mneme/evolve.h>
#include <stdio.h>
#include <stdlib.h>

/* A bent valley; 0 where every variable is 1. */
static double rosenbrock(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        double bend = x[i + 1] - x[i] * x[i], off = 1 - x[i];
        sum += 100 * bend * bend + off * off;
    }
    return sum;
}

/* Ask for every candidate, in any order or on any threads; tell what they are worth. */
static mn_status search(mn_optimizer *o, double *x, double *rating, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_optimizer_info info;
    for (mn_optimizer_get_info(o, &info); st == MN_OK && info.stop == MN_END_NONE;) {
        for (size_t i = 0; i < info.n_ask; i++) {
            mn_optimizer_ask(o, i, x);
            rating[i] = rosenbrock(x, info.n);
        }
        st = mn_optimizer_tell(o, rating, diag);
        mn_optimizer_get_info(o, &info);
    }
    return st;
}

int main(int argc, char **argv)
{
    mn_diag diag = {{0}};
    mn_optimizer *o = NULL;
    mn_optimizer_info info;
    mn_optimizer_params p;
    if (argc != 2) {
        fprintf(stderr, "Usage: minimise N\n");
        return 2;
    }
    mn_optimizer_params_default(&p);
    p.n = strtoul(argv[1], NULL, 10);
    p.sigma = 0.5;
    p.target = 1e-10;
    p.max_evaluations = 200000;
    mn_status st = mn_optimizer_new(&o, &p, &diag);
    double *x = NULL, *rating = NULL;
    if (st == MN_OK) {
        mn_optimizer_get_info(o, &info); /* without restarts n_ask stays what it is */
        x = malloc(info.n * sizeof *x);
        rating = malloc(info.n_ask * sizeof *rating);
        st = x && rating ? search(o, x, rating, &diag) : MN_ENOMEM;
    }
    if (st == MN_OK) {
        mn_optimizer_get_info(o, &info);
        printf("%s: f(%.6f, ...) = %.3g after %llu evaluations\n", mn_search_end_text(info.stop),
               info.best_x[0], info.best, (unsigned long long)info.evaluations);
    } else {
        fprintf(stderr, "minimise: %s\n", *diag.text ? diag.text : mn_status_text(st));
    }
    free(x);
    free(rating);
    mn_optimizer_free(o);
    return mn_status_exit_code(st);
}
