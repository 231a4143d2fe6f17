/* fuzz_gguf.c: any bytes at all as a GGUF file. Either they are refused with a sentence, or
 * everything that a user can ask of the open file stays inside its bytes. Runs under libFuzzer, or
 * by replay.c over the corpus. */
#include "gguf/gguf_file.h"
#include "gguf/gguf_key.h"
#include "lm/config_gguf.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Survives NDEBUG: a finding must stop the fuzzer. */
static void check(int holds)
{
    if (!holds) abort();
}

static void look_at_key(const mn__gguf *g, size_t i)
{
    const char *key = mn__gguf_key_name(g, i), *s = "";
    char text[80];
    uint32_t u, us[4];
    float f, fs[4];
    bool b, bs[4];
    mn__gguf_array a;
    check(mn__gguf_has(g, key));
    mn__gguf_key_text(g, i, text, sizeof text);
    check(strlen(text) < sizeof text);
    mn__gguf_need_u32(g, key, &u, NULL);
    mn__gguf_need_size(g, key, 4096, &u, NULL);
    mn__gguf_need_f32(g, key, &f, NULL);
    mn__gguf_get_bool(g, key, false, &b, NULL);
    mn__gguf_each_u32(g, key, NULL, 4, us, NULL);
    mn__gguf_each_f32(g, key, NULL, 4, fs, NULL);
    mn__gguf_each_bool(g, key, NULL, 4, bs, NULL);
    if (mn__gguf_need_str(g, key, &s, NULL) == MN_OK) check(strlen(s) <= mn__gguf_size(g));
    if (mn__gguf_need_array(g, key, GGUF_TYPE_STRING, &a, NULL) != MN_OK) return;
    for (size_t k = 0; k < a.n; k++)
        check(strlen(mn__gguf_array_str(g, &a, k)) <= mn__gguf_size(g));
}

static void look_at_tensor(const mn__gguf *g, size_t i, const uint8_t *data, size_t size)
{
    const mn__gguf_tensor *t = mn__gguf_get_tensor(g, i);
    const uint8_t *begin = t->data;
    check(mn__gguf_find_tensor(g, t->name) == t);
    check(t->n_bytes > 0 && begin > data && t->n_bytes <= size &&
          begin <= data + size - t->n_bytes);
    check(t->n_bytes ==
          ggml_row_size(t->type, t->ne[0]) * (size_t)(t->ne[1] * t->ne[2] * t->ne[3]));
}

/* As an exported model's options: a config that passed the checks, or a sentence. */
static void look_at_options(const mn__gguf *g)
{
    mn__config c;
    mn_diag diag = {""};
    const mn_status st = mn__config_take(&c, g, &diag);
    if (st != MN_OK)
        check(st == MN_EINPUT && diag.text[0]);
    else
        check(c.model_vocab > 0 && c.model_width % c.model_heads == 0 &&
              c.model_heads % c.model_kv_heads == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mn__gguf *g;
    mn_diag diag = {""};
    mn_status st = mn__gguf_open_memory(&g, data, size, "input", &diag);
    if (st != MN_OK) {
        check(!g && strlen(diag.text) > strlen("input: "));
        check(st != MN_EFAIL); /* ggml refused what our check let pass */
        return 0;
    }
    for (size_t i = 0; i < mn__gguf_n_key(g); i++) look_at_key(g, i);
    for (size_t i = 0; i < mn__gguf_n_tensor(g); i++) look_at_tensor(g, i, data, size);
    look_at_options(g);
    mn__gguf_close(g);
    return 0;
}
