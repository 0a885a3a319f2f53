// A gSOAP caller and partner. `gsoap_peer call KEYS` reads lines `OPERATION URL VERSION FEATURE ENVELOPE-FILE` and answers a
// line of JSON each. `gsoap_peer serve PLAN KEYS` prints its port; the last part of a path names the feature, PLAN holds the
// answers. KEYS is a folder with ours.pem/.key (of the gateway) and theirs.pem/.key (of gSOAP).
#include "peer.h"

#include <iostream>
#include <unistd.h>

#include "names.nsmap"
#include "wsseapi.h"

static std::string plan, keys, authority, feature;
static int version = 1;
static EVP_PKEY *key = NULL;
static X509 *cert = NULL;
static const char *USER = "olena", *PASSWORD = "s3cret";

static std::string quoted(const std::string &text)
{
    std::string out = "\"";
    for (size_t i = 0; i < text.size(); i++)
    {
        char c = text[i];
        if (c == '"' || c == '\\')
            (out += '\\') += c;
        else if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (c == '\t')
            out += "\\t";
        else
            out += c;
    }
    return out + "\"";
}

// The table of names says which version is written; soap_set_version is forgotten with the next message.
static struct Namespace tables[3][200];

static void make_tables()
{
    for (int each = 1; each <= 2; each++)
    {
        int at = 0;
        while (namespaces[at].id && at < 199)
        {
            tables[each][at] = namespaces[at];
            at++;
        }
        tables[each][0].ns = each == 1 ? "http://schemas.xmlsoap.org/soap/envelope/" : "http://www.w3.org/2003/05/soap-envelope";
        tables[each][1].ns = each == 1 ? "http://schemas.xmlsoap.org/soap/encoding/" : "http://www.w3.org/2003/05/soap-encoding";
        tables[each][0].in = tables[each][1].in = NULL;
    }
}

static bool is(const char *name) { return feature == name; }

static void load_keys()
{
    authority = keys + "/ca.pem";
    FILE *file = fopen((keys + "/theirs.key").c_str(), "r");
    key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    file = fopen((keys + "/theirs.pem").c_str(), "r");
    cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
}

static struct soap *fresh()
{
    struct soap *soap = soap_new1(SOAP_XML_STRICT | SOAP_C_UTFSTRING);
    soap_set_namespaces(soap, namespaces);
    soap->connect_timeout = soap->accept_timeout = soap->send_timeout = soap->recv_timeout = 20;
    soap_register_plugin(soap, soap_wsse);
    soap->cafile = authority.c_str();
    return soap;
}

// soap_wsse_verify_body looks for the Body of the version that stands first in the table.
static bool body_is_signed(struct soap *soap)
{
    return soap_wsse_verify_element(soap, tables[1][0].ns, "Body") + soap_wsse_verify_element(soap, tables[2][0].ns, "Body") == 1;
}

static int sign(struct soap *soap)
{
    soap_set_omode(soap, SOAP_XML_CANONICAL);
    soap_wsse_add_Timestamp(soap, "Time", 300);
    if (soap_wsse_add_BinarySecurityTokenX509(soap, "X509Token", cert)
        || soap_wsse_add_KeyInfo_SecurityTokenReferenceX509(soap, "#X509Token"))
        return soap->error;
    return soap_wsse_sign_body(soap, SOAP_SMD_SIGN_RSA_SHA256, key, 0);
}

static void attach(struct soap *soap)
{
    static const char data[] = "a,b\r\n1,2\r\n\0\xff\xfe";
    soap_set_mime(soap, NULL, NULL);
    soap_set_mime_attachment(soap, (char *)data, sizeof(data) - 1, SOAP_MIME_BINARY, "text/csv", "<table@gsoap>", NULL, NULL);
}

// What an earlier message has set must not shape this one: a signature leaves the canonical form behind.
static void forget_mode(struct soap *soap) { soap_clr_omode(soap, SOAP_ENC_MTOM | SOAP_XML_CANONICAL); }

// Before a call: what the feature wants on the request.
int prepare(struct soap *soap)
{
    soap_set_namespaces(soap, tables[version]);
    forget_mode(soap);
    if (is("mtom"))
        soap_set_omode(soap, SOAP_ENC_MTOM);
    if (is("swa"))
        attach(soap);
    if (is("password"))
        return soap_wsse_add_UsernameTokenText(soap, NULL, USER, PASSWORD);
    if (is("digest"))
        return soap_wsse_add_UsernameTokenDigest(soap, NULL, USER, PASSWORD);
    if (is("x509"))
    {
        soap_wsse_verify_auto(soap, SOAP_SMD_NONE, NULL, 0);
        return sign(soap);
    }
    return SOAP_OK;
}

// Before a request is answered: whether it brought what the feature wants.
int check(struct soap *soap)
{
    forget_mode(soap);
    feature = strrchr(soap->path, '/') + 1;
    if (is("password") || is("digest"))
    {
        const char *name = soap_wsse_get_Username(soap);
        if (!name || strcmp(name, USER) || soap_wsse_verify_Password(soap, PASSWORD))
            return soap_sender_fault(soap, "the name or password is wrong", NULL);
        _wsse__UsernameToken *token = soap->header->wsse__Security->UsernameToken;
        if (is("digest") != (token && token->Nonce != NULL))
            return soap_sender_fault(soap, "it is not the kind of password that was asked for", NULL);
    }
    if (is("x509"))
    {
        if (soap_wsse_verify_Timestamp(soap))
            return soap_sender_fault(soap, "the Timestamp is wrong", NULL);
        if (!body_is_signed(soap))
            return soap_sender_fault(soap, "the Body is not signed", NULL);
        X509 *signer = soap_wsse_get_BinarySecurityTokenX509(soap, NULL);
        FILE *file = fopen((keys + "/ours.pem").c_str(), "r");
        X509 *known = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
        if (!signer || X509_cmp(signer, known))
            return soap_sender_fault(soap, "somebody else signed it", NULL);
    }
    return SOAP_OK;
}

// Before an answer leaves: what the feature wants on it.
int finish(struct soap *soap)
{
    soap->header = NULL;
    if (is("mtom"))
        soap_set_omode(soap, SOAP_ENC_MTOM);
    if (is("swa"))
        attach(soap);
    if (is("x509"))
        return sign(soap);
    return SOAP_OK;
}

void detach_binary(struct soap *soap, xsd__base64Binary *binary)
{
    if (binary && is("mtom"))
    {
        binary->id = soap_strdup(soap, "cid:scan@gsoap");
        binary->type = soap_strdup(soap, "image/png");
    }
}

int refuse_subject(struct soap *soap, const char *subject, const char *style)
{
    if (!subject || strcmp(subject, "refuse me"))
        return SOAP_OK;
    soap_sender_fault(soap, "the letter is refused", NULL);
    SOAP_ENV__Detail *detail = (SOAP_ENV__Detail *)soap_malloc(soap, sizeof(SOAP_ENV__Detail));
    soap_default_SOAP_ENV__Detail(soap, detail);
    char *reason = soap_strdup(soap, "no stamp");
    if (*style == 'w')
        (detail->lw__Refused = soap_new__lw__Refused(soap, 1))->reason = reason;
    else if (*style == 'b')
        (detail->lb__Refused = soap_new__lb__Refused(soap, 1))->reason = reason;
    else
        (detail->lr__Refused = soap_new__lr__Refused(soap, 1))->reason = reason;
    if (soap->version == 2)
        soap->fault->SOAP_ENV__Detail = detail;
    else
        soap->fault->detail = detail;
    return soap->error = SOAP_FAULT;
}

struct soap *planned(struct soap *soap)
{
    struct soap *other = fresh();
    soap_set_version(other, 1);
    return other;
}

std::string reply_of(const char *name) { return plan + "/" + name + ".xml"; }

static std::string parts(struct soap *soap)
{
    std::string told = "[";
    for (soap_multipart::iterator part = soap->mime.begin(); part != soap->mime.end(); ++part)
    {
        std::ostringstream size;
        size << part->size;
        if (told.size() > 1)
            told += ", ";
        told += "{\"id\": " + quoted(part->id ? part->id : "") + ", \"type\": " + quoted(part->type ? part->type : "") + ", \"size\": " + size.str() + "}";
    }
    return told + "]";
}

void note(struct soap *soap, const char *name, const std::string &seen)
{
    std::string header = "null";
    if (soap->header)
    {
        const char *session = soap->header->lw__session ? soap->header->lw__session : soap->header->lb__session ? soap->header->lb__session : soap->header->lr__session;
        if (session)
            header = quoted(session);
    }
    std::ofstream file((plan + "/" + name + ".seen").c_str());
    file << "{\"body\": " << quoted(seen) << ", \"session\": " << header << ", \"parts\": " << parts(soap) << "}";
}

static std::string fault_of(struct soap *soap)
{
    std::ostringstream status;
    status << soap->error;
    std::string told = "{\"error\": " + status.str();
    soap_set_fault(soap);
    const char *code = *soap_faultcode(soap), *text = *soap_faultstring(soap), *subcode = soap_fault_subcode(soap);
    const char *more = soap_fault_detail(soap);
    told += ", \"detail\": " + quoted(more ? more : "");
    told += ", \"code\": " + quoted(code ? code : "") + ", \"subcode\": " + quoted(subcode ? subcode : "") + ", \"text\": " + quoted(text ? text : "");
    SOAP_ENV__Detail *detail = soap->fault ? (soap->fault->detail ? soap->fault->detail : soap->fault->SOAP_ENV__Detail) : NULL;
    const char *reason = !detail ? NULL : detail->lw__Refused ? detail->lw__Refused->reason : detail->lb__Refused ? detail->lb__Refused->reason : detail->lr__Refused ? detail->lr__Refused->reason : NULL;
    return told + ", \"reason\": " + (reason ? quoted(reason) : "null") + "}";
}

static void call_one(const std::string &name, const std::string &url, const std::string &path)
{
    struct soap *soap = fresh();
    soap_set_imode(soap, SOAP_ENC_MTOM);
    std::string told = "", line = "{\"error\": -1}";
    for (const Operation *each = operations; each->name; each++)
        if (name == each->name)
        {
            int error = each->call(soap, url.c_str(), path, told);
            if (!error && is("x509") && (!body_is_signed(soap) || soap_wsse_verify_Timestamp(soap)))
                error = soap_sender_fault(soap, "the Body or its time is not signed", NULL);
            line = error ? fault_of(soap) : "{\"body\": " + quoted(told) + ", \"parts\": " + parts(soap) + "}";
        }
    std::cout << line << std::endl;
    soap_destroy(soap);
    soap_end(soap);
    soap_free(soap);
}

static int (*parse_head)(struct soap *);

// Only once the path is known is it known whether a signature is wanted.
static int parse_request(struct soap *soap)
{
    int error = parse_head(soap);
    if (strstr(soap->path, "/x509"))
        soap_wsse_verify_auto(soap, SOAP_SMD_NONE, NULL, 0);
    else
        soap_wsse_verify_done(soap);
    return error;
}

int main(int count, char **words)
{
    soap_ssl_init();
    make_tables();
    if (count == 3 && !strcmp(words[1], "call"))
    {
        keys = words[2];
        load_keys();
        std::string name, url, path;
        while (std::cin >> name >> url >> version >> feature >> path)
            call_one(name, url, path);
        return 0;
    }
    if (count != 4 || strcmp(words[1], "serve"))
        return 2;
    plan = words[2];
    keys = words[3];
    load_keys();
    struct soap *soap = fresh();
    soap->accept_timeout = 0;
    soap_set_imode(soap, SOAP_ENC_MTOM);
    parse_head = soap->fparse;
    soap->fparse = parse_request;
    if (!soap_valid_socket(soap_bind(soap, "127.0.0.1", 0, 20)))
        return 1;
    struct sockaddr_in place;
    socklen_t size = sizeof(place);
    getsockname(soap->master, (struct sockaddr *)&place, &size);
    std::cout << ntohs(place.sin_port) << std::endl;
    while (soap_valid_socket(soap_accept(soap)))
    {
        soap_serve(soap);
        soap_destroy(soap);
        soap_end(soap);
    }
    return 0;
}
