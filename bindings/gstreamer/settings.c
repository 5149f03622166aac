#include "settings.h"

enum {
    PROP_MODEL = 1,
    PROP_DEVICE,
    PROP_LIBRARY,
    PROP_THREADS,
    PROP_TEMPORAL,
    PROP_STRENGTH,
    PROP_GUIDANCE_SCALE,
    PROP_SMOOTH,
    PROP_SHOW_GUIDANCE,
};

static const gsize members[] = {
    [PROP_MODEL] = offsetof(Settings, model),
    [PROP_DEVICE] = offsetof(Settings, device),
    [PROP_LIBRARY] = offsetof(Settings, library),
    [PROP_THREADS] = offsetof(Settings, threads),
    [PROP_TEMPORAL] = offsetof(Settings, temporal),
    [PROP_STRENGTH] = offsetof(Settings, dials.strength),
    [PROP_GUIDANCE_SCALE] = offsetof(Settings, dials.guidance_scale),
    [PROP_SMOOTH] = offsetof(Settings, dials.smooth),
    [PROP_SHOW_GUIDANCE] = offsetof(Settings, dials.show_guidance),
};

void settings_install(GObjectClass *class) {
    const GParamFlags always = G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS;
    const GParamFlags ready = always | GST_PARAM_MUTABLE_READY;
    const GParamFlags playing = always | GST_PARAM_MUTABLE_PLAYING | GST_PARAM_CONTROLLABLE;
    g_object_class_install_property(
        class, PROP_MODEL,
        g_param_spec_string("model", "Model", "Path of the model, an .onnx file", NULL, ready));
    g_object_class_install_property(
        class, PROP_DEVICE,
        g_param_spec_string("device", "Device",
                            "auto, openvino, cpu, cuda, cuda:N, ort-tensorrt or ort-tensorrt:N",
                            "auto", ready));
    g_object_class_install_property(
        class, PROP_LIBRARY,
        g_param_spec_string("library", "Library",
                            "Path of libopenvino_c or libonnxruntime; NULL looks in the "
                            "environment, the active Python environment and the system",
                            NULL, ready));
    g_object_class_install_property(class, PROP_THREADS,
                                    g_param_spec_int("threads", "Threads",
                                                     "Threads for a frame; 0 is one per core", 0,
                                                     1024, 0, ready));
    g_object_class_install_property(
        class, PROP_TEMPORAL,
        g_param_spec_boolean("temporal", "Temporal",
                             "Average frames where nothing moves; for models that denoise", TRUE,
                             ready));
    g_object_class_install_property(
        class, PROP_STRENGTH,
        g_param_spec_double("strength", "Strength",
                            "0 passes frames through, 1 is the trained result, values in between "
                            "blend, values above 1 exaggerate",
                            0, 4, 1, playing));
    g_object_class_install_property(class, PROP_GUIDANCE_SCALE,
                                    g_param_spec_double("guidance-scale", "Guidance scale",
                                                        "Multiplies the map that the network sees",
                                                        0, 4, 1, playing));
    g_object_class_install_property(
        class, PROP_SMOOTH,
        g_param_spec_double("smooth", "Smooth",
                            "Weight of the last frame's map where nothing moves; below 0 it is the "
                            "default of the model",
                            -1, 0.999, -1, playing));
    g_object_class_install_property(
        class, PROP_SHOW_GUIDANCE,
        g_param_spec_boolean("show-guidance", "Show guidance",
                             "Show the map in gray instead of the picture", FALSE, playing));
}

void settings_set(Settings *settings, guint id, const GValue *value) {
    gpointer member = (guint8 *)settings + members[id];
    switch (G_VALUE_TYPE(value)) {
    case G_TYPE_STRING:
        g_free(*(gchar **)member);
        *(gchar **)member = g_value_dup_string(value);
        break;
    case G_TYPE_DOUBLE:
        *(gdouble *)member = g_value_get_double(value);
        break;
    case G_TYPE_INT:
        *(gint *)member = g_value_get_int(value);
        break;
    default:
        *(gboolean *)member = g_value_get_boolean(value);
    }
}

void settings_get(const Settings *settings, guint id, GValue *value) {
    gconstpointer member = (const guint8 *)settings + members[id];
    switch (G_VALUE_TYPE(value)) {
    case G_TYPE_STRING:
        g_value_set_string(value, *(gchar *const *)member);
        break;
    case G_TYPE_DOUBLE:
        g_value_set_double(value, *(const gdouble *)member);
        break;
    case G_TYPE_INT:
        g_value_set_int(value, *(const gint *)member);
        break;
    default:
        g_value_set_boolean(value, *(const gboolean *)member);
    }
}

void settings_clear(Settings *settings) {
    g_free(settings->model);
    g_free(settings->device);
    g_free(settings->library);
}
