<?php
// A partner served by `php -S`: the path names the WSDL and the feature, the folder PLAN holds the answers.
require __DIR__ . '/matrix_values.php';

preg_match('#^/(.+)/(\w+)$#', $_SERVER['REQUEST_URI'], $asked);
[, $wsdl, $feature] = $asked;
$folder = getenv('PLAN');
$plan = json_decode(file_get_contents("$folder/plan.json"), true);
$seen = ['header' => null, 'checked' => null];

class Partner
{
    public function __call(string $name, array $values)
    {
        global $plan, $seen, $folder, $feature;
        if (isset($plan['headers'][$name])) {
            $seen['header'] = from_php($values[0] ?? null);
            return null;
        }
        if ($name === 'Security') {
            $seen['checked'] = checked($values[0]->UsernameToken, $feature);
            return null;
        }
        $seen['args'] = from_php($plan['rpc'] ? $values : ($values[0] ?? null));
        file_put_contents("$folder/seen.json", json_encode($seen));
        if ($feature === 'fault') {
            throw new SoapFault('Client', 'the letter is refused', null, ['reason' => 'no stamp'], 'Refused');
        }
        $reply = to_php($plan['reply'], $plan['types']);
        return $plan['rpc'] && $plan['parts'] > 1 ? (array)$reply : $reply;
    }
}

function checked($token, string $feature): bool
{
    if ($feature === 'password') {
        return $token->Username === 'olena' && $token->Password === 's3cret';
    }
    $mixed = base64_decode($token->Nonce) . $token->Created . 's3cret';
    return $token->Username === 'olena' && $token->Password === base64_encode(sha1($mixed, true));
}

$version = str_contains($_SERVER['CONTENT_TYPE'] ?? '', 'soap+xml') ? SOAP_1_2 : SOAP_1_1;
$server = new SoapServer(getenv('WSDLS') . "/$wsdl", ['cache_wsdl' => WSDL_CACHE_NONE, 'soap_version' => $version,
    'features' => SOAP_SINGLE_ELEMENT_ARRAYS]);
$server->setObject(new Partner());
$server->handle();
