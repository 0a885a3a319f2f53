<?php
// Calls what it is told, a line of JSON each, with PHP's SoapClient; prints what came of it, a line of JSON each.
require __DIR__ . '/matrix_values.php';

function token(array $auth): SoapHeader
{
    $password = '<wsse:Password Type="' . PROFILE . '#PasswordText">' . $auth['password'] . '</wsse:Password>';
    if ($auth['digest']) {
        $nonce = random_bytes(16);
        $created = gmdate('Y-m-d\TH:i:s\Z');
        $digest = base64_encode(sha1($nonce . $created . $auth['password'], true));
        $password = '<wsse:Password Type="' . PROFILE . '#PasswordDigest">' . $digest . '</wsse:Password>'
            . '<wsse:Nonce EncodingType="' . MESSAGE . '#Base64Binary">' . base64_encode($nonce) . '</wsse:Nonce>'
            . '<wsu:Created>' . $created . '</wsu:Created>';
    }
    $xml = '<wsse:Security SOAP-ENV:mustUnderstand="1" xmlns:wsse="' . SECEXT . '" xmlns:wsu="' . UTILITY . '"><wsse:UsernameToken>'
        . '<wsse:Username>' . $auth['user'] . '</wsse:Username>' . $password . '</wsse:UsernameToken></wsse:Security>';
    $xml = str_replace('SOAP-ENV:', $auth['prefix'] . ':', $xml);
    return new SoapHeader(SECEXT, 'Security', new SoapVar($xml, XSD_ANYXML), true);
}

$clients = [];
while (($line = fgets(STDIN)) !== false) {
    $told = json_decode($line, true);
    try {
        $key = $told['url'] . $told['version'];
        $clients[$key] ??= new SoapClient($told['url'], ['cache_wsdl' => WSDL_CACHE_NONE, 'connection_timeout' => 10,
            'soap_version' => $told['version'] === '1.1' ? SOAP_1_1 : SOAP_1_2,
            'features' => SOAP_SINGLE_ELEMENT_ARRAYS]);
        $client = $clients[$key];
        $headers = [];
        foreach ($told['headers'] as [$name, $space, $value]) {
            $headers[] = new SoapHeader($space, $name, to_php($value, $told['types']), false);
        }
        if ($told['auth']) {
            $headers[] = token($told['auth'] + ['prefix' => $told['version'] === '1.1' ? 'SOAP-ENV' : 'env']);
        }
        $args = to_php($told['args'], $told['types']);
        $args = $told['rpc'] ? array_values((array)$args) : [$args];
        $reply = $client->__soapCall($told['operation'], $args, null, $headers ?: null);
        echo json_encode(['reply' => from_php($reply)], JSON_THROW_ON_ERROR), "\n";
    } catch (SoapFault $fault) {
        $reason = $fault->detail->Refused->reason ?? null;
        echo json_encode(['fault' => ['code' => $fault->faultcode, 'text' => $fault->getMessage(), 'reason' => $reason]]), "\n";
    } catch (Throwable $error) {
        echo json_encode(['error' => get_class($error) . ': ' . $error->getMessage()]), "\n";
    }
}
