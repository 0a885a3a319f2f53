// What the generated operations and the program have in common.
#include "soapH.h"

#include <fstream>
#include <sstream>
#include <string>
#include <type_traits>

struct Operation
{
    const char *name;
    int (*call)(struct soap *, const char *url, const std::string &path, std::string &told);
};
extern const Operation operations[];
extern struct Namespace namespaces[];

int prepare(struct soap *);
int check(struct soap *);
int finish(struct soap *);
struct soap *planned(struct soap *);
std::string reply_of(const char *name);
void note(struct soap *, const char *name, const std::string &seen);

// Reads the one message of an envelope in a file into gSOAP's own types; its header stays in the context.
template <class T>
T *read_body(struct soap *soap, const std::string &path, T *(*get)(struct soap *, T *, const char *, const char *), const char *tag)
{
    std::ifstream file(path.c_str());
    soap->is = &file;
    T *found = NULL;
    if (!soap_begin_recv(soap) && !soap_envelope_begin_in(soap) && !soap_recv_header(soap) && !soap_body_begin_in(soap))
        found = get(soap, NULL, tag, NULL);
    if (found && (soap_body_end_in(soap) || soap_envelope_end_in(soap) || soap_end_recv(soap)))
        found = NULL;
    soap->is = NULL;
    return found;
}

// Writes a message as gSOAP understood it, so that it can be compared with what was meant.
template <class T, class P, class S>
std::string write_body(T *message, P put, S serialize, const char *tag)
{
    struct soap *soap = soap_new1(SOAP_XML_TREE | SOAP_C_UTFSTRING);
    soap_set_namespaces(soap, namespaces);
    soap_set_version(soap, 1);
    std::ostringstream text;
    soap->os = &text;
    soap_begin(soap);
    soap->encodingStyle = NULL;
    serialize(soap, message);
    if (soap_begin_send(soap) || soap_envelope_begin_out(soap) || soap_body_begin_out(soap) || put(soap, message, tag, "")
        || soap_body_end_out(soap) || soap_envelope_end_out(soap) || soap_end_send(soap))
        text << "!" << soap->error;
    soap_end(soap);
    soap_free(soap);
    return text.str();
}

// Messages that are classes of their own read and write themselves.
template <class T> T *fresh_object(struct soap *soap)
{
    T *made = (T *)soap_malloc(soap, sizeof(T));
    if constexpr (std::is_class<T>::value)
        new (made) T();
    else
        *made = T();
    return made;
}
template <class T> T *get_object(struct soap *soap, T *, const char *tag, const char *type)
{
    T *made = fresh_object<T>(soap);
    made->soap_default(soap);
    return (T *)made->soap_get(soap, tag, type);
}
template <class T> int put_object(struct soap *soap, const T *message, const char *tag, const char *type) { return message->soap_put(soap, tag, type); }
template <class T> void serialize_object(struct soap *soap, const T *message) { message->soap_serialize(soap); }
// A part of a message may be held by value or by pointer, whatever the stub takes.
template <class T> void put_part(T &part, T &value) { part = value; }
template <class T> void put_part(T *&part, T &value) { part = &value; }
template <class T> void take_part(T &value, T &part) { value = part; }
template <class T> void take_part(T &value, T *&part) { if (part) value = *part; }

// Only letters have binaries to detach and words that are refused.
template <class T> void detach(struct soap *, T &) {}
template <class T> int refuses(struct soap *, T &) { return 0; }
void detach_binary(struct soap *, xsd__base64Binary *);
int refuse_subject(struct soap *, const char *subject, const char *style);
inline void detach(struct soap *soap, lw__Letter *letter) { if (letter) detach_binary(soap, letter->scan); }
inline void detach(struct soap *soap, lw__Receipt *receipt) { if (receipt) detach_binary(soap, receipt->copy); }
inline void detach(struct soap *soap, _lw__Deliver *&whole) { detach(soap, whole->letter); }
inline void detach(struct soap *soap, _lw__DeliverResponse &whole) { detach(soap, whole.receipt); }
inline void detach(struct soap *soap, lb__Letter *&letter) { if (letter) detach_binary(soap, letter->scan); }
inline void detach(struct soap *soap, lb__Receipt &receipt) { detach_binary(soap, receipt.copy); }
inline void detach(struct soap *soap, lb__Receipt *&receipt) { if (receipt) detach_binary(soap, receipt->copy); }
inline void detach(struct soap *soap, lr__Letter *&letter) { if (letter) detach_binary(soap, letter->scan); }
inline void detach(struct soap *soap, struct lr__DeliverResponse &whole) { if (whole.receipt) detach_binary(soap, whole.receipt->copy); }
inline int refuses(struct soap *soap, _lw__Deliver *&whole) { return refuse_subject(soap, whole->letter->subject, "w"); }
inline int refuses(struct soap *soap, lb__Letter *&letter) { return refuse_subject(soap, letter->subject, "b"); }
inline int refuses(struct soap *soap, lr__Letter *&letter) { return refuse_subject(soap, letter->subject, "r"); }
