/* bamboo.c: BAMBOO, those of its tasks that need no program to be run. In altqa and meetingpred the
 * question stands inside the context. */
#include "eval/task.h"

static const mn__task tasks[] = {
    {.name = "bamboo_altqa_4k",
     .family = MN__FAMILY_QA,
     .metric = "contains",
     .prompt = "{context}\n\nYou should only give an number as the answer, without any "
               "explanations and other words.\n"
               "Answer: ",
     .max_new = 16,
     .dir = "longctx/bamboo",
     .files = "bamboo",
     .dataset = "bamboo_altqa_4k"},
    {.name = "bamboo_meetingpred_4k",
     .family = MN__FAMILY_QA,
     .metric = "contains",
     .prompt = "I want you to act as a long dialogue completer. Given a long dialogue, your "
               "objective is to add one speaker mentioned in the past dialogue at the end of the "
               "last sentence to complete the sentence and ensure its semantic integrity. At here, "
               "the added word must be a person's name which appears in the dialogue.\n\n"
               "{context}\n\nPredicted speaker of the last conversation (only the name of "
               "speaker): ",
     .max_new = 16,
     .dir = "longctx/bamboo",
     .files = "bamboo",
     .dataset = "bamboo_meetingpred_4k"},
    {.name = "bamboo_meetingqa_4k",
     .family = MN__FAMILY_QA,
     .metric = "choice_letter",
     .prompt = "You are given an article or a long dialogue, a multiple-choice question with four "
               "optional answer(marked by A, B, C, D). Please choose the best answer to the "
               "question based on the given content by responsing its corresponding letter (either "
               "A, B, C, or D). Do not provide any explanation.\n\n"
               "Article: ```{context}```\n\n{input}\n\n"
               "Answer(Only give the corresponding letter (either A, B, C, or D)): ",
     .max_new = 8,
     .dir = "longctx/bamboo",
     .files = "bamboo",
     .dataset = "bamboo_meetingqa_4k"},
    {.name = "bamboo_paperqa_4k",
     .family = MN__FAMILY_QA,
     .metric = "choice_letter",
     .prompt = "You are given an article or a long dialogue, a multiple-choice question with four "
               "optional answer(marked by A, B, C, D). Please choose the best answer to the "
               "question based on the given content by responsing its corresponding letter (either "
               "A, B, C, or D). Do not provide any explanation.\n\n"
               "Article: ```{context}```\n\n{input}\n\n"
               "Answer(Only give the corresponding letter (either A, B, C, or D)): ",
     .max_new = 8,
     .dir = "longctx/bamboo",
     .files = "bamboo",
     .dataset = "bamboo_paperqa_4k"},
    {.name = "bamboo_paperqa_16k",
     .family = MN__FAMILY_QA,
     .metric = "choice_letter",
     .prompt = "You are given an article or a long dialogue, a multiple-choice question with four "
               "optional answer(marked by A, B, C, D). Please choose the best answer to the "
               "question based on the given content by responsing its corresponding letter (either "
               "A, B, C, or D). Do not provide any explanation.\n\n"
               "Article: ```{context}```\n\n{input}\n\n"
               "Answer(Only give the corresponding letter (either A, B, C, or D)): ",
     .max_new = 8,
     .dir = "longctx/bamboo",
     .files = "bamboo",
     .dataset = "bamboo_paperqa_16k"},
    {.name = "bamboo_abshallu_4k",
     .family = MN__FAMILY_QA,
     .metric = "choice_text",
     .prompt = "You are given an NLP paper and a hypothesis. Your task is to identify if the "
               "hypothesis is right according to the paper. If the hypothesis is entailed by the "
               "paper, response \"Yes.\". If the hypothesis is contradict to the paper or has any "
               "hallucination, response \"No.\".\n"
               "Paper: ```{context}```\n{input}\n"
               "Answer (\"Yes.\" or \"No.\"):",
     .max_new = 8,
     .dir = "longctx/bamboo",
     .files = "bamboo",
     .dataset = "bamboo_abshallu_4k"},
    {.name = "bamboo_senhallu_4k",
     .family = MN__FAMILY_QA,
     .metric = "choice_text",
     .prompt = "You are given an NLP paper and a hypothesis. Your task is to identify if the "
               "hypothesis is right according to the paper. If the hypothesis is entailed by the "
               "paper, response \"Yes.\". If the hypothesis is contradict to the paper or has any "
               "hallucination, response \"No.\".\n"
               "Paper: ```{context}```\n{input}\n"
               "Answer (\"Yes.\" or \"No.\"):",
     .max_new = 8,
     .dir = "longctx/bamboo",
     .files = "bamboo",
     .dataset = "bamboo_senhallu_4k"},
    {.name = "bamboo_reportsumsort_4k",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "order",
     .prompt = "Given a long text, and 5 events which take place in the long text, each indicated "
               "by number identifier [] that represents the shuffled order, (e.g. [0], [2], etc.). "
               "Reorder the events according to the original order of the events in the long text. "
               "The events should be listed in descending order using identifiers, and the first "
               "event in original order should be list first, and the output format should be [] > "
               "[], e.g., [0] > [2]. Only response the reorder results, do not say any word or "
               "explain.\n\nLong text:\n{context}\n"
               "Events: \n{input}\n\nGive the reorder results, only give the ordered identifiers "
               "of the five events [] > [] > [] > [] > []: ",
     .max_new = 32,
     .dir = "longctx/bamboo",
     .files = "bamboo",
     .dataset = "bamboo_reportsumsort_4k"},
};

const mn__task_set mn__tasks_bamboo = {
    .name = "bamboo",
    .about = "BAMBOO: papers, meetings and reports of 4k and 16k tokens",
    .source = "arXiv 2309.13345, github.com/RUCAIBox/BAMBOO",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
