/* functions.c: functions whose minimum is 0. Refs: N. Hansen et al., "Real-parameter black-box
 * optimization benchmarking 2009", INRIA RR-6829, without their rotations and shifts. */
#include "functions.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* i of n as 0 ... 1. */
static double at(size_t i, size_t n)
{
    return n > 1 ? (double)i / (double)(n - 1) : 0;
}

static double sphere(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

static double ellipsoid(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pow(10, 6 * at(i, n)) * x[i] * x[i];
    return sum;
}

static double rosenbrock(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        double bend = x[i + 1] - x[i] * x[i], off = 1 - x[i];
        sum += 100 * bend * bend + off * off;
    }
    return sum;
}

static double rastrigin(const double *x, size_t n)
{
    double sum = 10 * (double)n;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i] - 10 * cos(2 * pi * x[i]);
    return sum;
}

static double cigar(const double *x, size_t n)
{
    return x[0] * x[0] + 1e6 * sphere(x + 1, n - 1);
}

static double discus(const double *x, size_t n)
{
    return 1e6 * x[0] * x[0] + sphere(x + 1, n - 1);
}

static double different_powers(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pow(fabs(x[i]), 2 + 4 * at(i, n));
    return sqrt(sum);
}

static double ackley(const double *x, size_t n)
{
    double waves = 0;
    for (size_t i = 0; i < n; i++) waves += cos(2 * pi * x[i]);
    return 20 - 20 * exp(-0.2 * sqrt(sphere(x, n) / (double)n)) + exp(1) - exp(waves / (double)n);
}

static double griewank(const double *x, size_t n)
{
    double waves = 1;
    for (size_t i = 0; i < n; i++) waves *= cos(x[i] / sqrt((double)i + 1));
    return sphere(x, n) / 4000 - waves + 1;
}

/* Schwefel's problem 1.2: sums of sums. */
static double schwefel(const double *x, size_t n)
{
    double sum = 0, part = 0;
    for (size_t i = 0; i < n; i++) {
        part += x[i];
        sum += part * part;
    }
    return sum;
}

static const struct {
    const char *name;
    double (*f)(const double *x, size_t n);
} functions[FUNCTION_COUNT] = {
    {"sphere", sphere},
    {"ellipsoid", ellipsoid},
    {"rosenbrock", rosenbrock},
    {"rastrigin", rastrigin},
    {"cigar", cigar},
    {"discus", discus},
    {"different_powers", different_powers},
    {"ackley", ackley},
    {"griewank", griewank},
    {"schwefel", schwefel},
};

const char *function_name(size_t i)
{
    return i < FUNCTION_COUNT ? functions[i].name : NULL;
}

double function_value(size_t i, const double *x, size_t n)
{
    return functions[i].f(x, n);
}
