/* The properties of the element: what they are, and where their values are kept. */
#pragma once

#include <gst/gst.h>

/* What can be changed while frames flow. */
typedef struct {
    gdouble strength, guidance_scale, smooth;
    gboolean show_guidance;
} Dials;

typedef struct {
    gchar *model, *device, *library;
    gint threads;
    gboolean temporal;
    Dials dials;
} Settings;

/* Adds the properties to a class. Objects get the defaults when they are constructed. */
void settings_install(GObjectClass *class);

/* id: of the property. */
void settings_set(Settings *settings, guint id, const GValue *value);
void settings_get(const Settings *settings, guint id, GValue *value);

/* Frees what belongs to the settings. */
void settings_clear(Settings *settings);
