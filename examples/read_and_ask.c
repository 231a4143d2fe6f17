/* read_and_ask.c: read a long document, forget three quarters of it by a policy that looks at the
 * question, answer.
 *
 *   read_and_ask MODEL.gguf DOCUMENT.txt "Question?"
 *
 * Build: cc read_and_ask.c $(pkg-config --cflags --libs mneme) */
#include <mneme/mneme.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Document, question and the chat template around them as tokens; free. What the document says is
 * text, whatever it looks like: mn_chat_tokenize reads no control words in it. */
static int32_t *read_prompt(const mn_model *m, const char *path, const char *question, size_t *n,
                            mn_diag *diag)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, (1 << 24) + strlen(question) + 3);
    size_t n_text = f && text ? fread(text, 1, 1 << 24, f) : 0;
    if (f) fclose(f);
    if (!n_text) {
        snprintf(diag->text, sizeof diag->text, "%s: no text to read", path);
        free(text);
        return NULL;
    }
    snprintf(text + n_text, strlen(question) + 3, "\n\n%s", question);

    mn_chat_message ask = {"user", text};
    mn_chat chat = {.messages = &ask, .n_message = 1, .open_answer = true};
    mn_token_buf token = {0};
    mn_status st = mn_chat_tokenize(m, &chat, &token, diag); /* how many? */
    if (st == MN_OK && (token.data = malloc(token.n * sizeof *token.data))) {
        token.cap = token.n;
        st = mn_chat_tokenize(m, &chat, &token, diag);
    } else if (st == MN_OK) {
        snprintf(diag->text, sizeof diag->text, "no memory for %zu tokens", token.n);
    }
    free(text);
    if (st != MN_OK) {
        free(token.data);
        return NULL;
    }
    *n = token.n;
    return token.data;
}

static bool print(const char *text, size_t n, void *ctx)
{
    (void)ctx;
    return fwrite(text, 1, n, stdout) != n;
}

int main(int argc, char **argv)
{
    mn_diag diag = {{0}};
    mn_model *model = NULL;
    mn_session *session = NULL;
    mn_sampler *sampler = NULL;
    int32_t *token = NULL;
    size_t n = 0;
    const float *logits;
    mn_generated done;
    mn_session_info held;
    mn_status st = MN_EFAIL;
    if (argc != 4) {
        fprintf(stderr, "Usage: read_and_ask MODEL.gguf DOCUMENT.txt QUESTION\n");
        return 2;
    }
    mn_model_params mp;
    mn_model_params_default(&mp);
    mn_session_params sp;
    mn_session_params_default(&sp);
    sp.policy = "window:share=layer,pool=7"; /* what the question looks at stays, in whole layers */
    sp.budget = "25%";
    mn_sampler_params choice;
    mn_sampler_params_default(&choice);
    choice.temperature = 0;
    mn_generate_params gp = {.max_token = 64, .on_text = print};

    if ((st = mn_model_open(&model, argv[1], &mp, &diag)) != MN_OK) goto out;
    st = MN_EINPUT;
    if (!(token = read_prompt(model, argv[2], argv[3], &n, &diag))) goto out;
    if ((st = mn_session_new(&session, model, &sp, &diag)) != MN_OK) goto out;
    if ((st = mn_sampler_new(&sampler, model, &choice, &diag)) != MN_OK) goto out;
    /* The policy cuts the cache at the end of the prompt. */
    if ((st = mn_session_read(session, token, n, true, &logits, NULL, NULL, &diag)) != MN_OK)
        goto out;
    if ((st = mn_generate(session, sampler, logits, &gp, &done, &diag)) != MN_OK) goto out;
    mn_session_get_info(session, &held);
    printf("\n[read %zu tokens, kept %.0f%%, cache %zu of %zu bytes]\n", n, 100 * held.kept_share,
           held.kv_bytes, held.kv_full_bytes);
out:
    if (st != MN_OK) fprintf(stderr, "read_and_ask: %s\n", diag.text);
    free(token);
    mn_sampler_free(sampler);
    mn_session_free(session);
    mn_model_free(model);
    return mn_status_exit_code(st);
}
