/* ui.c: interruption, sentences, progress, JSON out. */
#include "ui.h"

#include <ctype.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

static int interrupted; /* asked for by all threads */

static void on_signal(int sig)
{
    if (__atomic_exchange_n(&interrupted, 1, __ATOMIC_RELAXED)) _exit(128 + sig);
}

void ui_catch_interrupt(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void ui_follow_reader(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLERR)) return;
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

bool ui_interrupted(void)
{
    return __atomic_load_n(&interrupted, __ATOMIC_RELAXED) != 0;
}

static bool wants_color(const args *a)
{
    const char *when = a->value[OPT_COLOR];
    if (when && !strcmp(when, "always")) return true;
    if (when && !strcmp(when, "never")) return false;
    const char *no = getenv("NO_COLOR");
    return !(no && *no) && isatty(STDERR_FILENO);
}

const char *ui_color(const args *a, const char *code)
{
    if (!wants_color(a)) return "";
    if (!strcmp(code, "dim")) return "\033[2m";
    if (!strcmp(code, "bold")) return "\033[1m";
    if (!strcmp(code, "red")) return "\033[31m";
    return "\033[0m";
}

void ui_note(const args *a, const char *fmt, ...)
{
    va_list ap;
    if (args_has(a, OPT_QUIET)) return;
    fputs(ui_color(a, "dim"), stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", ui_color(a, ""));
}

/* ---- progress ---- */

progress progress_start_logged(const args *a, const char *what)
{
    const bool on = !args_has(a, OPT_QUIET) && !args_has(a, OPT_NO_PROGRESS);
    const double now = mn__clock_s();
    return (progress){.a = on ? a : NULL,
                      .what = what,
                      .t0 = now,
                      .drawn = now,
                      .is_log = !isatty(STDERR_FILENO)};
}

progress progress_start(const args *a, const char *what)
{
    progress p = progress_start_logged(a, what);
    if (p.is_log) p.a = NULL;
    return p;
}

void progress_now(progress *p)
{
    if (!p->is_log) p->shown = false;
}

bool progress_due(progress *p)
{
    static const double every_s = 0.1, every_log_s = 60;
    if (!p->a) return false;
    const double passed = mn__clock_s() - p->drawn;
    if (p->is_log ? passed < every_log_s : p->shown && passed < every_s) return false;
    if (!p->is_log) fputs("\r\033[K", stderr);
    return true;
}

void progress_drawn(progress *p)
{
    if (p->is_log) fputc('\n', stderr);
    fflush(stderr);
    p->drawn = mn__clock_s();
    p->shown = !p->is_log;
}

bool progress_tick(size_t done, size_t total, void *arg)
{
    progress *p = arg;
    if (total && progress_due(p)) {
        double spent = mn__clock_s() - p->t0,
               left = done ? spent * (double)(total - done) / (double)done : 0;
        fprintf(stderr, "%s %zu of %zu %s", p->what, done, total, p->unit ? p->unit : "tokens");
        if (!p->unit) fprintf(stderr, ", %.0f tokens/s", spent > 0 ? (double)done / spent : 0);
        fprintf(stderr, ", %.0f s left", ceil(left));
        progress_drawn(p);
    }
    return ui_interrupted();
}

void progress_end(progress *p)
{
    if (p->shown) fputs("\r\033[K", stderr);
    p->shown = false;
}

/* ---- numbers and documents ---- */

const char *ui_human(double bytes, char *buf)
{
    const char *unit[] = {"B", "kB", "MB", "GB", "TB"};
    int u = 0;
    while (bytes >= 1000 && u < 4) {
        bytes /= 1000;
        u++;
    }
    snprintf(buf, 32, u ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
    return buf;
}

mn_status ui_bytes(const char *text, const char *option, size_t *out, mn_diag *diag)
{
    char *end = NULL;
    double v = strtod(text, &end);
    const char *units = "KMGT",
               *u = isalpha((unsigned char)*end) ? strchr(units, *end & ~32) : NULL;
    double scale = u ? pow(1024, (double)(u - units + 1)) : 1;
    const char *tail = end + (u ? 1 : 0);
    if (end == text || (*tail && strcmp(tail, "B") && strcmp(tail, "iB")) || !isfinite(v) ||
        v * scale < 1 || v * scale > 9e18)
        return mn__fail(diag, MN_EUSAGE, "--%s: bytes wanted, such as 2G or 512M, '%s' found",
                        option, text);
    *out = (size_t)(v * scale);
    return MN_OK;
}

/* Bytes of the whole character that `text` begins with, 0: none. jansson is the judge. */
static size_t character_bytes(const char *text, size_t n)
{
    for (size_t k = 1; k <= 4 && k <= n; k++) {
        json_t *one = json_stringn(text, k);
        json_decref(one);
        if (one) return k;
    }
    return 0;
}

json_t *ui_json_text(const char *text)
{
    size_t n = strlen(text), at = 0;
    json_t *whole = json_stringn(text, n);
    if (whole) return whole;
    char *clean = malloc(3 * n + 1);
    if (!clean) return NULL;
    for (size_t i = 0, k; i < n; i += k ? k : 1) {
        k = character_bytes(text + i, n - i);
        memcpy(clean + at, k ? text + i : "\xEF\xBF\xBD", k ? k : 3);
        at += k ? k : 3;
    }
    whole = json_stringn(clean, at);
    free(clean);
    return whole;
}

void ui_print_json(json_t *doc)
{
    if (!json_object_get(doc, "version")) json_object_set_new(doc, "version", json_integer(1));
    json_dumpf(doc, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    fputc('\n', stdout);
    json_decref(doc);
}
