/* report_csv.c: the lists of the JSON document as one table (RFC 4180), so that both say the same.
 */
#include "eval/report.h"

#include <math.h>
#include <string.h>

/* name in JSON. *_ci95 and ci95 become two columns, of the lower and the upper end. */
static const char *const columns[] = {"run",
                                      "model",
                                      "evict",
                                      "template",
                                      "family",
                                      "task",
                                      "metric",
                                      "policy",
                                      "budget",
                                      "acts",
                                      "n",
                                      "n_failed",
                                      "score",
                                      "full_ratio",
                                      "n_ratio",
                                      "nll",
                                      "nll_byte",
                                      "nll_change",
                                      "nll_change_ci95",
                                      "n_nll_change",
                                      "kl",
                                      "kl_ci95",
                                      "n_kl",
                                      "nll_change_token",
                                      "kl_token",
                                      "kv_share",
                                      "kv_share_papers",
                                      "kv_bytes",
                                      "policy_bytes",
                                      "kv_bytes_ratio",
                                      "bytes_ratio",
                                      "peak_kv_bytes",
                                      "peak_ratio",
                                      "peak_kv_bytes_most",
                                      "seconds",
                                      "prefill_seconds",
                                      "decode_seconds",
                                      "tokens_per_second",
                                      "a",
                                      "b",
                                      "measure",
                                      "difference",
                                      "ci95",
                                      "p",
                                      "p_holm"};
enum { N_COLUMN = sizeof columns / sizeof *columns };

static bool is_interval(const char *name)
{
    size_t n = strlen(name);
    return n >= 4 && !strcmp(name + n - 4, "ci95");
}

static void put_text(FILE *to, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"') fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

static void put_value(FILE *to, const json_t *v)
{
    if (json_is_string(v))
        put_text(to, json_string_value(v));
    else if (json_is_integer(v))
        fprintf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        fprintf(to, "%.*g", MN__REPORT_DIGITS, json_real_value(v));
}

static void put_row(FILE *to, const char *level, const json_t *row)
{
    fputs(level, to);
    for (size_t i = 0; i < N_COLUMN; i++) {
        const json_t *v = json_object_get(row, columns[i]);
        fputc(',', to);
        if (!is_interval(columns[i])) {
            put_value(to, v);
            continue;
        }
        put_value(to, json_array_get(v, 0));
        fputc(',', to);
        put_value(to, json_array_get(v, 1));
    }
    fputs("\r\n", to);
}

mn_status mn__report_csv(FILE *to, const json_t *doc)
{
    static const char *const list[][2] = {
        {"summary", "all"}, {"families", "family"}, {"rows", "task"}, {"pairs", "pair"}};
    fputs("level", to);
    for (size_t i = 0; i < N_COLUMN; i++)
        fprintf(to, is_interval(columns[i]) ? ",%s_lo,%s_hi" : ",%s", columns[i], columns[i]);
    fputs("\r\n", to);
    for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
        size_t i;
        json_t *row;
        json_array_foreach(json_object_get(doc, list[k][0]), i, row) put_row(to, list[k][1], row);
    }
    return ferror(to) ? MN_EIO : MN_OK;
}
