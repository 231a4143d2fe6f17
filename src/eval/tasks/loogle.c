/* loogle.c: LooGLE over Wikipedia articles. */
#include "eval/task.h"

static const mn__task tasks[] = {
    {.name = "loogle_longdep_qa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "Please answer the question based on the long texts below. \n"
               "{context}\nQuestion: {input}\nAnswer: ",
     .max_new = 128,
     .dir = "longctx/loogle",
     .files = "loogle",
     .dataset = "loogle_longdep_qa"},
    {.name = "loogle_shortdep_qa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "Please answer the question based on the long texts below. \n"
               "{context}\nQuestion: {input}\nAnswer: ",
     .max_new = 128,
     .dir = "longctx/loogle",
     .files = "loogle",
     .dataset = "loogle_shortdep_qa"},
};

const mn__task_set mn__tasks_loogle = {
    .name = "loogle",
    .about = "LooGLE: questions on Wikipedia articles whose answers lie near or far",
    .source = "arXiv 2311.04939, github.com/bigai-nlco/LooGLE",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
