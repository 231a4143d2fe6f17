/* lost_in_the_middle.c: key-value retrieval of "Lost in the Middle". */
#include "eval/maker.h"

static mn_status write(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    char key[MN__UUID_BYTES];
    (void)diag;
    mn__write_pairs(r, n, ",\n ", out, key);
    mn__draft_fmt(&out->input, "Key: \"%s\"\nCorresponding value:", key);
    return MN_OK;
}

static const mn__maker maker = {.has_depth = true, .n_least = 1, .write = write};

static const mn__task tasks[] = {
    {.name = "litm_kv",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains",
     .prompt = "Extract the value corresponding to the specified key in the JSON object below.\n\n"
               "JSON data:\n{context}\n\n{input}",
     .max_new = 64,
     .dir = "longctx/lost_in_the_middle",
     .files = "kv",
     .dataset = "litm_kv_*",
     .maker = &maker},
};

const mn__task_set mn__tasks_lost_in_the_middle = {
    .name = "lost_in_the_middle",
    .about = "A value of a JSON object by its key, at chosen places",
    .source = "arXiv 2307.03172, github.com/nelson-liu/lost-in-the-middle",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
