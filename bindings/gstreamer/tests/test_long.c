/* Memory does not grow over a long stream. Runs only if HYPERGUIDE_LONG is 1. */
#include <unistd.h>

#include "check.h"
#include "pipelines.h"

enum { SKIPPED = 77, FIRST = 1000, LAST = 5000 };

typedef struct {
    gint count;
    glong first, last; /* resident bytes */
} Memory;

static glong resident(void) {
    g_autofree gchar *text = NULL;
    glong all, pages;
    g_assert(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
    g_assert(sscanf(text, "%ld %ld", &all, &pages) == 2);
    return pages * sysconf(_SC_PAGESIZE);
}

static GstPadProbeReturn note_memory(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
    Memory *memory = data;
    (void)pad, (void)info;
    memory->count++;
    if (memory->count == FIRST)
        memory->first = resident();
    if (memory->count == LAST)
        memory->last = resident();
    return GST_PAD_PROBE_OK;
}

int main(int count, char **arguments) {
    if (g_strcmp0(g_getenv("HYPERGUIDE_LONG"), "1") != 0)
        return SKIPPED;
    gst_init(&count, &arguments);
    GstElement *pipeline = pipeline_of("videotestsrc num-buffers=5000 pattern=ball ! "
                                       "video/x-raw,format=NV12,width=160,height=120 ! "
                                       "hyperguide name=filter model=%s ! fakesink",
                                       MODEL);
    Memory memory = {0};
    watch(pipeline, "filter", "src", note_memory, &memory);
    CHECK(play(pipeline) == NULL);
    CHECK(memory.count == LAST);
    printf("%.1f MB after %d frames, %.1f MB after %d\n", memory.first / 1e6, FIRST,
           memory.last / 1e6, LAST);
    CHECK(memory.last - memory.first < 5000000);
    gst_object_unref(pipeline);
    return failures > 0;
}
