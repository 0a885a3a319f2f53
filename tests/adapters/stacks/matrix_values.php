<?php
// Values of the matrix as PHP's SOAP extension says them, and back. Binaries are PHP strings there, Base64 here.
const BINARIES = ['scan', 'copy'];

function to_php($value, array $types, string $key = '')
{
    if (!is_array($value)) {
        if (in_array($key, BINARIES) && is_string($value)) {
            return base64_decode($value);
        }
        return $key === 'hex' ? hex2bin($value) : $value;
    }
    if (array_is_list($value) && $value !== []) {
        if ($value === array_filter($value, 'is_int') || str_starts_with($key, '@')) {
            return implode(' ', $value);
        }
        return array_map(fn($each) => to_php($each, $types, $key), $value);
    }
    $object = [];
    foreach ($value as $name => $part) {
        if ($name !== '@xsi:type') {
            $object[$name === '#text' ? '_' : ltrim($name, '@')] = to_php($part, $types, $name);
        }
    }
    if (isset($value['@xsi:type'], $types[$key])) {
        [$space, $local] = explode('}', substr($types[$key], 1));
        return new SoapVar((object)$object, SOAP_ENC_OBJECT, $local, $space);
    }
    return (object)$object;
}

function from_php($value, string $key = '')
{
    if (is_object($value) || is_array($value)) {
        $plain = [];
        foreach ((array)$value as $name => $part) {
            $plain[$name] = from_php($part, (string)$name);
        }
        return $plain === [] && is_object($value) ? new stdClass() : $plain;
    }
    if (in_array($key, BINARIES) && is_string($value)) {
        return base64_encode($value);
    }
    return $key === 'hex' ? strtoupper(bin2hex($value)) : $value;
}

const SECEXT = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd';
const UTILITY = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd';
const PROFILE = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0';
const MESSAGE = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0';
