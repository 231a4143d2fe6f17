/* babilong.c: BABILong. */
#include <string.h>

#include "base/diag.h"
#include "eval/maker.h"

enum { STREAM_START = MN__STREAM_OWN, STREAM_PLACE, MAX_FACT = 4096 };

/* The story of row `index` among those that came without a book around them. */
static const mn__row *find_story(const mn__recipe *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_stock; i++) n += r->stock[i].max_tokens == 0;
    size_t k = n ? (size_t)(r->index % n) : 0;
    for (size_t i = 0; i < r->n_stock; i++)
        if (r->stock[i].max_tokens == 0 && k-- == 0) return &r->stock[i];
    return NULL;
}

/* Append the fact at s with a blank; what follows it. */
static const char *say_fact(const char *s, mn__draft *out)
{
    const char *end = strstr(s, ". ");
    size_t n = end ? (size_t)(end - s) + 1 : strlen(s);
    mn__draft_put(out, s, n);
    mn__draft_put(out, " ", 1);
    return s + n + (s[n] == ' ');
}

static size_t count_facts(const char *story)
{
    size_t n = 0;
    for (const char *s = story; *s; n++) {
        const char *end = strstr(s, ". ");
        s = end ? end + 2 : s + strlen(s);
    }
    return n;
}

/* Facts keep their order between n sentences of a book; one place may take several. */
static mn_status write_story(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    const mn__row *story = find_story(r);
    size_t place[MAX_FACT];
    if (!story)
        return mn__fail(diag, MN_EINPUT,
                        "task %s: rows without `max_tokens` (stories without a book) wanted among "
                        "its files, none found",
                        r->task->name);
    const char *fact = story->context;
    size_t n_fact = count_facts(fact), first, k = 0;
    if (n_fact == 0 || n_fact > MAX_FACT)
        return mn__fail(diag, MN_EINPUT, "task %s: a story of 1 to %d facts wanted, %zu found",
                        r->task->name, (int)MAX_FACT, n_fact);
    mn__draw_places(r, STREAM_PLACE, place, n_fact, n + n_fact);
    first = (size_t)mn__draw_below(r, STREAM_START, 0, r->text->n_sentence);
    for (size_t i = 0, said = 0; i < n + n_fact; i++) {
        if (k < n_fact && place[k] == i) {
            fact = say_fact(fact, &out->context);
            k++;
            continue;
        }
        mn__corpus_say(r->text, first + said++, &out->context);
        mn__draft_put(&out->context, " ", 1);
    }
    mn__draft_str(&out->input, story->input);
    for (size_t i = 0; i < story->n_answer; i++) mn__made_answer(out, story->answers[i]);
    return MN_OK;
}

static const mn__maker maker = {
    .text = "corpus/en-books.valid", .stock = true, .write = write_story};

static const mn__task tasks[] = {
    {.name = "babilong_qa1",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "babilong",
     .prompt = "I will give you context with the facts about positions of different persons hidden "
               "in some random text and a question. You need to answer the question based only on "
               "the information from the facts. If a person was in different locations, use the "
               "latest location to answer the question.\n\n"
               "<example>\nCharlie went to the hallway. Judith come back to the kitchen. Charlie "
               "travelled to balcony. Where is Charlie?\n"
               "Answer: The most recent location of Charlie is balcony.\n"
               "</example>\n\n<example>\nAlan moved to the garage. Charlie went to the beach. Alan "
               "went to the shop. Rouse travelled to balcony. Where is Alan?\n"
               "Answer: The most recent location of Alan is shop.\n"
               "</example>\n\nAlways return your answer in the following format: The most recent "
               "location of ’person’ is ’location’. Do not write anything else after that.\n\n"
               "<context>\n{context}\n</context>\n\n"
               "Question: {input}",
     .max_new = 20,
     .dir = "longctx/babilong",
     .files = "synth",
     .dataset = "babilong_qa1",
     .maker = &maker},
    {.name = "babilong_qa2",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "babilong",
     .prompt = "I give you context with the facts about locations and actions of different persons "
               "hidden in some random text and a question.You need to answer the question based "
               "only on the information from the facts.\n"
               "If a person got an item in the first location and travelled to the second location "
               "the item is also in the second location. If a person dropped an item in the first "
               "location and moved to the second location the item remains in the first location.\n"
               "\n<example>\nCharlie went to the kitchen. Charlie got a bottle. Charlie moved to "
               "the balcony. Where is the bottle?\n"
               "Answer: The bottle is in the balcony.\n"
               "</example>\n<example>\nAlan moved to the garage. Alan got a screw driver. Alan "
               "moved to the kitchen. Where is the screw driver?\n"
               "Answer: The screw driver is in the kitchen.\n"
               "</example>\n\nAlways return your answer in the following format: The ’item’ is in "
               "’location’. Do not write anything else after that.\n\n"
               "<context>\n{context}\n</context>\n\n"
               "Question: {input}",
     .max_new = 20,
     .dir = "longctx/babilong",
     .files = "synth",
     .dataset = "babilong_qa2",
     .maker = &maker},
    {.name = "babilong_qa3",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "babilong",
     .prompt = "I give you context with the facts about locations and actions of different persons "
               "hidden in some random text and a question. You need to answer the question based "
               "only on the information from the facts.\n"
               "If a person got an item in the first location and travelled to the second location "
               "the item is also in the second location. If a person dropped an item in the first "
               "location and moved to the second location the item remains in the first location.\n"
               "\n<example>\nJohn journeyed to the bedroom. Mary grabbed the apple. Mary went back "
               "to the bathroom. Daniel journeyed to the bedroom. Daniel moved to the garden. Mary "
               "travelled to the kitchen. Where was the apple before the kitchen?\n"
               "Answer: Before the kitchen the apple was in the bathroom.\n"
               "</example>\n<example>\nJohn went back to the bedroom. John went back to the "
               "garden. John went back to the kitchen. Sandra took the football. Sandra travelled "
               "to the garden. Sandra journeyed to the bedroom. Where was the football before the "
               "bedroom?\nAnswer: Before the bedroom the football was in the garden.\n"
               "</example>\n\nAlways return your answer in the following format: Before the "
               "$location_1$ the $item$ was in the $location_2$. Do not write anything else after "
               "that.\n\n<context>\n{context}\n"
               "</context>\n\nQuestion: {input}",
     .max_new = 20,
     .dir = "longctx/babilong",
     .files = "synth",
     .dataset = "babilong_qa3",
     .maker = &maker},
    {.name = "babilong_qa4",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "babilong",
     .prompt = "I will give you context with the facts about different people, their location and "
               "actions, hidden in some random text and a question. You need to answer the "
               "question based only on the information from the facts.\n\n"
               "<example>\nThe hallway is south of the kitchen. The bedroom is north of the "
               "kitchen. What is the kitchen south of?\n"
               "Answer: bedroom\n</example>\n<example>\n"
               "The garden is west of the bedroom. The bedroom is west of the kitchen. What is "
               "west of the bedroom?\nAnswer: garden\n"
               "</example>\n\nYour answer should contain only one word - location. Do not write "
               "anything else after that.\n\n<context>\n"
               "{context}\n</context>\n\nQuestion: {input}",
     .max_new = 20,
     .dir = "longctx/babilong",
     .files = "synth",
     .dataset = "babilong_qa4",
     .maker = &maker},
    {.name = "babilong_qa5",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "babilong",
     .prompt = "I will give you context with the facts about locations and their relations hidden "
               "in some random text and a question. You need to answer the question based only on "
               "the information from the facts.\n\n"
               "<example>\nMary picked up the apple there. Mary gave the apple to Fred. Mary moved "
               "to the bedroom. Bill took the milk there. Who did Mary give the apple to?\n"
               "Answer: Fred\n</example>\n<example>\n"
               "Jeff took the football there. Jeff passed the football to Fred. Jeff got the milk "
               "there. Bill travelled to the bedroom. Who gave the football?\n"
               "Answer: Jeff\n</example>\n<example>\n"
               "Fred picked up the apple there. Fred handed the apple to Bill. Bill journeyed to "
               "the bedroom. Jeff went back to the garden. What did Fred give to Bill?\n"
               "Answer: apple\n</example>\n\nYour answer should contain only one word. Do not "
               "write anything else after that. Do not explain your answer.\n\n"
               "<context>\n{context}\n</context>\n\n"
               "Question: {input}",
     .max_new = 20,
     .dir = "longctx/babilong",
     .files = "synth",
     .dataset = "babilong_qa5",
     .maker = &maker},
};

const mn__task_set mn__tasks_babilong = {
    .name = "babilong",
    .about = "BABILong: bAbI stories spread through a book",
    .source = "arXiv 2406.10149, github.com/booydar/babilong",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
