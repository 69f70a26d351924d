/* One check of a split test, for units that are plain: the same answer as the Python check that it is given, sooner.

   Whatever is not plain is handed to that Python check, which then answers by itself: a class of the service's own
   where a dict, an int or a str is usual, a value that has to be read first, a unit without a split group. So nothing
   here decides what is unusual; this file has to know only what it is sure of.

   What may run foreign code, and thereby change anything: a look into a dict (`__eq__` of a foreign key), the clock,
   the Python check. Objects are held by a reference while they do. Constants and the values compared with them are of
   exactly Python's own types, whose comparisons run none. A check is never changed once it is made. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <math.h>
#include <string.h>

#ifdef Py_GIL_DISABLED
#error "usersplit-speedups needs the GIL. Without it, checks are answered by Python: do not install this distribution."
#endif

/* Has to change with whatever changes the meaning of `DrawnCheck`'s arguments or answers. */
#define INTERFACE 1

#define SPLIT_GROUPS 2400

/* What a question has for an answer, beside 0 for no and 1 or an index for yes. */
enum { FAILED = -1, UNUSUAL = -2 }; /* an exception is set; only the Python check can say */

/* Where a step may lead, beside the number of a step. */
enum { MET = -1, UNMET = -2 };

enum { BOOLEAN, INTEGER, NUMBER, STRING };
static const char *const TYPES[] = {"boolean", "integer", "number", "string", NULL};

/* The first six are Py_LT … Py_GE. */
enum { IN = Py_GE + 1, NOT_IN, CONTAINS, STARTS_WITH };
static const char *const OPERATORS[] = {
    "lt", "lte", "eq", "ne", "gt", "gte", "in", "not_in", "contains", "starts_with", NULL,
};

/* A leaf of the conditions, and where it leads to. */
typedef struct {
    PyObject *name;     /* str */
    PyObject *constant; /* of the leaf's type, or a frozenset of such */
    int on_met, on_unmet;
    unsigned char type, operator, of_environment;
} Step;

/* What a check is given and holds, by the names of DrawnCheck's arguments. */
#define GIVEN(DO) DO(otherwise) DO(user) DO(guest) DO(environment) DO(nobody) DO(variants) \
    DO(variant_by_group) DO(starts_at) DO(ends_at) DO(now)
/* Names of attributes of units and environments. */
#define NAMES(DO) DO(attributes) DO(split_group) DO(_filter_values)
#define FIELD(name) PyObject *name;
#define HOLD(name) check->name = Py_NewRef(name);
#define INTERN(name) check->name = PyUnicode_InternFromString(#name);
#define VISIT(name) Py_VISIT(check->name);
#define RELEASE(name) Py_XDECREF(check->name);

typedef struct {
    PyObject_HEAD
    GIVEN(FIELD)
    NAMES(FIELD)
    const unsigned char *table; /* inside of `variant_by_group` */
    int groups_first, asks_user, asks_environment;
    int count;
    Step *steps; /* the last one is asked first; each leads to an earlier one */
} Check;

/* --- asking ------------------------------------------------------------------------------------------------------- */

static int
is_plain(PyObject *value, int type)
{
    switch (type) {
    case BOOLEAN:
        return value == Py_True || value == Py_False;
    case INTEGER:
        return PyLong_CheckExact(value);
    case NUMBER:
        return PyFloat_CheckExact(value);
    default:
        return PyUnicode_CheckExact(value);
    }
}

static int
is_met(const Step *step, PyObject *values)
{
    /* Borrowed: from here on nothing runs that could take it away. */
    PyObject *value = PyDict_GetItemWithError(values, step->name);
    if (value == NULL) {
        return PyErr_Occurred() ? FAILED : 0;
    }
    if (value == Py_None) {
        return 0;
    }
    int overflow = 0, type = step->type, operator = step->operator;
    if (type == BOOLEAN && PyLong_CheckExact(value)) { /* as databases give them */
        long number = PyLong_AsLongAndOverflow(value, &overflow);
        if (number != 0 && number != 1) {
            return 0;
        }
        value = number ? Py_True : Py_False;
    }
    if (!is_plain(value, type)) {
        return UNUSUAL;
    }
    if (type == BOOLEAN) {
        return (value == step->constant) == (operator == Py_EQ);
    }
    /* What is out of bounds is no number at all: it does not even differ from another one. */
    if (type == INTEGER) {
        (void)PyLong_AsLongLongAndOverflow(value, &overflow);
    }
    if (overflow || (type == NUMBER && !isfinite(PyFloat_AsDouble(value)))) {
        return 0;
    }
    if (operator == IN || operator == NOT_IN) {
        int is_member = PySet_Contains(step->constant, value);
        return is_member < 0 ? FAILED : is_member == (operator == IN);
    }
    if (operator == CONTAINS) {
        return PyUnicode_Contains(value, step->constant);
    }
    if (operator == STARTS_WITH) {
        return (int)PyUnicode_Tailmatch(value, step->constant, 0, PY_SSIZE_T_MAX, -1);
    }
    return PyObject_RichCompareBool(value, step->constant, operator);
}

/* Ask the steps of a profile and of what is known of the visit; NULL is a mapping without anything. */
static int
are_met(const Check *check, PyObject *profile, PyObject *visit)
{
    int at = check->count - 1; /* MET, if there are no steps */
    while (at >= 0) {
        const Step *step = &check->steps[at];
        PyObject *values = step->of_environment ? visit : profile;
        int met = values == NULL ? 0 : is_met(step, values);
        if (met < 0) {
            return met;
        }
        at = met ? step->on_met : step->on_unmet;
    }
    return at == MET;
}

/* Put the attribute `name` of `object`, as a new reference, into `values`: a plain dict, or NULL for nothing. */
static int
take_values(const Check *check, PyObject *object, PyObject *name, int are_asked, PyObject **values)
{
    PyObject *found = PyObject_GetAttr(object, name);
    if (found == NULL) {
        return FAILED;
    }
    if (found == check->nobody || !are_asked) {
        Py_DECREF(found);
        return 1;
    }
    *values = found;
    return PyDict_CheckExact(found) ? 1 : UNUSUAL;
}

static int
meets_conditions(const Check *check, PyObject *unit, PyObject *environment)
{
    PyObject *profile = NULL, *visit = NULL;
    int met = take_values(check, unit, check->attributes, check->asks_user, &profile);
    if (met == 1 && check->asks_environment && environment != Py_None) {
        met = take_values(check, environment, check->_filter_values, 1, &visit);
    }
    if (met == 1) {
        met = are_met(check, profile, visit);
    }
    Py_XDECREF(profile);
    Py_XDECREF(visit);
    return met;
}

static int
group_of(const Check *check, PyObject *unit)
{
    PyObject *number = PyObject_GetAttr(unit, check->split_group);
    if (number == NULL) {
        return FAILED;
    }
    int overflow = 0;
    long group = PyLong_CheckExact(number) ? PyLong_AsLongAndOverflow(number, &overflow) : 0;
    Py_DECREF(number);
    return 1 <= group && group <= SPLIT_GROUPS ? (int)group : UNUSUAL; /* -1 for a number of more than 64 bits */
}

/* The dates are compared as Python compares them: exactly, whatever the clock gives. */
static int
is_on(const Check *check)
{
    if (check->starts_at == Py_None) {
        return 1;
    }
    PyObject *now = PyObject_CallNoArgs(check->now);
    if (now == NULL) {
        return FAILED;
    }
    int is = PyObject_RichCompareBool(check->starts_at, now, Py_LE);
    if (is == 1) {
        is = PyObject_RichCompareBool(now, check->ends_at, Py_LT);
    }
    Py_DECREF(now);
    return is;
}

/* Return the index of the variant, 0 for none. */
static int
index_of(const Check *check, PyObject *unit, PyObject *environment)
{
    PyObject *type = (PyObject *)Py_TYPE(unit);
    if ((type != check->user && type != check->guest) ||
        (environment != Py_None && (PyObject *)Py_TYPE(environment) != check->environment)) {
        return UNUSUAL;
    }
    int group = 0;
    if (check->groups_first) {
        group = group_of(check, unit);
        if (group < 0 || !check->table[group]) {
            return group < 0 ? group : 0;
        }
    }
    int met = meets_conditions(check, unit, environment);
    if (met != 1) {
        return met;
    }
    if (!group) { /* who does not meet the conditions need not have one */
        group = group_of(check, unit);
        if (group < 0) {
            return group;
        }
    }
    int index = check->table[group];
    if (index) {
        int on = is_on(check); /* last, for the clock costs as much as all the rest */
        if (on != 1) {
            return on;
        }
    }
    return index;
}

PyDoc_STRVAR(answer_doc, "answer($self, unit, environment, /)\n--\n\n"
                         "Return what the Python check returns: the variant's name, None, or an empty text.");

static PyObject *
answer(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    const Check *check = (const Check *)self;
    if (count != 2) {
        return PyErr_Format(PyExc_TypeError, "answer takes a unit and an environment, not %zd arguments", count);
    }
    int index = index_of(check, arguments[0], arguments[1]);
    if (index == UNUSUAL) {
        return PyObject_CallFunctionObjArgs(check->otherwise, arguments[0], arguments[1], NULL);
    }
    if (index == FAILED) {
        return NULL;
    }
    PyObject *variant = index ? PyTuple_GetItem(check->variants, index) : Py_None;
    Py_XINCREF(variant);
    return variant;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static int
refuse(const char *reason)
{
    PyErr_SetString(PyExc_ValueError, reason);
    return -1;
}

/* Return the place of `word` in `words`, or -1 with an exception. */
static int
place_of(const char *word, const char *const *words)
{
    for (int place = 0; words[place] != NULL; place++) {
        if (strcmp(word, words[place]) == 0) {
            return place;
        }
    }
    PyErr_Format(PyExc_ValueError, "%s is not known here", word);
    return -1;
}

/* Answer whether `operator` compares a plain value with `constant`, and runs no foreign code. */
static int
is_plain_constant(PyObject *constant, int type, int operator)
{
    if (type == BOOLEAN && operator != Py_EQ && operator != Py_NE) {
        return 0;
    }
    if (operator != IN && operator != NOT_IN) {
        return is_plain(constant, type);
    }
    if (!Py_IS_TYPE(constant, &PyFrozenSet_Type)) {
        return 0;
    }
    PyObject *members = PyObject_GetIter(constant), *member;
    if (members == NULL) {
        return -1;
    }
    int plain = 1;
    while (plain && (member = PyIter_Next(members)) != NULL) {
        plain = is_plain(member, type);
        Py_DECREF(member);
    }
    Py_DECREF(members);
    return PyErr_Occurred() ? -1 : plain;
}

/* Fill the step at `at`; 0, or -1 with an exception. */
static int
take_step(Check *check, int at, PyObject *given)
{
    const char *type, *operator;
    PyObject *name, *constant;
    int of_environment, on_met, on_unmet;
    if (!PyTuple_CheckExact(given)) {
        return refuse("a step is a tuple");
    }
    if (!PyArg_ParseTuple(given, "pssUOii", &of_environment, &type, &operator, &name, &constant, &on_met, &on_unmet)) {
        return -1;
    }
    int type_place = place_of(type, TYPES), operator_place = place_of(operator, OPERATORS);
    if (type_place < 0 || operator_place < 0) {
        return -1;
    }
    int plain = is_plain_constant(constant, type_place, operator_place);
    if (plain != 1) {
        return plain < 0 ? -1 : refuse("the constant is not plain, or not for the operator");
    }
    /* Only backwards: so every check ends, inside of the steps. */
    if (!PyUnicode_CheckExact(name) || on_met < UNMET || on_met >= at || on_unmet < UNMET || on_unmet >= at) {
        return refuse("a step leads nowhere, or its name is not plain");
    }
    Step *step = &check->steps[at];
    step->name = Py_NewRef(name);
    step->constant = Py_NewRef(constant);
    step->on_met = on_met;
    step->on_unmet = on_unmet;
    step->type = (unsigned char)type_place;
    step->operator = (unsigned char)operator_place;
    step->of_environment = (unsigned char)of_environment;
    check->asks_user |= !of_environment;
    check->asks_environment |= of_environment;
    return 0;
}

static int
take_steps(Check *check, PyObject *steps)
{
    Py_ssize_t count = PyTuple_Size(steps);
    if (count > INT_MAX / (Py_ssize_t)sizeof(Step)) {
        return refuse("too many steps");
    }
    check->steps = PyMem_Calloc((size_t)count, sizeof(Step));
    if (check->steps == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int at = 0; at < (int)count; at++) {
        if (take_step(check, at, PyTuple_GetItem(steps, at)) < 0) {
            return -1;
        }
        check->count = at + 1; /* so that there is none that is not whole, whoever finds the check meanwhile */
    }
    return 0;
}

static int
take_variants(Check *check)
{
    char *table;
    Py_ssize_t length, variants = PyTuple_Size(check->variants);
    if (PyBytes_AsStringAndSize(check->variant_by_group, &table, &length) < 0) {
        return -1;
    }
    if (length != SPLIT_GROUPS + 1) {
        return refuse("variant_by_group has 2401 entries");
    }
    check->table = (const unsigned char *)table;
    for (Py_ssize_t group = 0; group < length; group++) {
        if (check->table[group] && check->table[group] >= variants) {
            return refuse("variant_by_group names a variant that is none");
        }
    }
    return 0;
}

static PyObject *
new_check(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {
        "otherwise", "user", "guest", "environment", "nobody", "steps", "variants", "variant_by_group", "groups_first",
        "starts_at", "ends_at", "now", NULL,
    };
    PyObject *otherwise, *user, *guest, *environment, *nobody, *steps, *variants, *variant_by_group, *starts_at;
    PyObject *ends_at, *now;
    int groups_first;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "$OOOOOO!O!SpOOO:DrawnCheck", names, &otherwise, &user, &guest,
                                     &environment, &nobody, &PyTuple_Type, &steps, &PyTuple_Type, &variants,
                                     &variant_by_group, &groups_first, &starts_at, &ends_at, &now)) {
        return NULL;
    }
    Check *check = (Check *)PyType_GenericAlloc(type, 0);
    if (check == NULL) {
        return NULL;
    }
    GIVEN(HOLD)
    NAMES(INTERN)
    check->groups_first = groups_first;
    if (check->attributes == NULL || check->split_group == NULL || check->_filter_values == NULL ||
        take_variants(check) < 0 || take_steps(check, steps) < 0) {
        Py_DECREF(check);
        return NULL;
    }
    return (PyObject *)check;
}

/* --- the garbage collector ---------------------------------------------------------------------------------------- */

/* Constants are plain, and names are text: no cycle goes through them. There is no tp_clear, as with a tuple: whatever
   closes a cycle came later than a check that is never changed, and can be cleared itself. */
static int
traverse(PyObject *self, visitproc visit, void *arg)
{
    Check *check = (Check *)self;
    Py_VISIT(Py_TYPE(self));
    GIVEN(VISIT)
    return 0;
}

static void
deallocate(PyObject *self)
{
    Check *check = (Check *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    for (int at = 0; at < check->count; at++) {
        Py_XDECREF(check->steps[at].name);
        Py_XDECREF(check->steps[at].constant);
    }
    PyMem_Free(check->steps);
    GIVEN(RELEASE)
    NAMES(RELEASE)
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* --- the module --------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(check_doc, "The check of a test that gives variants by split group. See _check.pyi.");

static PyMethodDef check_methods[] = {
    {"answer", (PyCFunction)(void (*)(void))answer, METH_FASTCALL, answer_doc}, {NULL, NULL, 0, NULL},
};

static PyType_Slot check_slots[] = {
    {Py_tp_doc, (void *)check_doc},     {Py_tp_new, (void *)new_check},      {Py_tp_methods, check_methods},
    {Py_tp_traverse, (void *)traverse}, {Py_tp_dealloc, (void *)deallocate}, {0, NULL},
};

static PyType_Spec check_spec = {
    .name = "usersplit_speedups.DrawnCheck",
    .basicsize = sizeof(Check),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = check_slots,
};

static int
fill_module(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &check_spec, NULL);
    int done = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return done < 0 ? -1 : PyModule_AddIntConstant(module, "INTERFACE", INTERFACE);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)fill_module}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "usersplit_speedups._check",
    .m_doc = "One check of a split test, in C.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__check(void)
{
    return PyModuleDef_Init(&definition);
}
